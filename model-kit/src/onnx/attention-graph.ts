import {
  type Arithmetic,
  type ModelShape,
  type RopeTables,
  type RotaryAngles,
  rotaryTables,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import { bytesOf } from '../checkpoint.js';
import { DataType, type GraphBuilder } from './graph-builder.js';
import type { WindowBounds } from './window-mask.js';

/** Adds the attention of a layer to a stage graph: rotation, the window that is put together, scores, weights. */
export class AttentionGraph {
  readonly #graph: GraphBuilder;
  readonly #shape: ModelShape;
  readonly #scoreScale: number;
  readonly #queryHeadsPerKv: number;
  /** Layers that turn alike share their tables; these are known by their place here. */
  readonly #rotations: string[] = [];
  #lastTables: { key: string; tables: RopeTables } | undefined;

  constructor(graph: GraphBuilder, shape: ModelShape, { scoreScale }: Arithmetic) {
    this.#graph = graph;
    this.#shape = shape;
    this.#scoreScale = scoreScale;
    this.#queryHeadsPerKv = shape.heads / shape.kvHeads;
  }

  /**
   * `(n, heads * headDim)` → `(1, n, heads * headDim)`, turned to the positions from `past` on; queries are scaled too.
   *
   * Without rotation the angles are zero: the scale has to go somewhere where it is not fused into a matrix product.
   */
  rotate(
    projected: string,
    kind: 'query' | 'key',
    { rotary, past }: { rotary: RotaryAngles; past: string },
    name?: string,
  ): string {
    const heads = kind === 'query' ? this.#shape.heads : this.#shape.kvHeads;
    const batched = this.#graph.node('Reshape', [projected, this.#graph.ints([1, -1, heads * this.#shape.headDim])]);
    const tables = [this.#ropeTable('cosines', kind, rotary), this.#ropeTable('sines', kind, rotary)];
    return this.#graph.node('RotaryEmbedding', [batched, past, ...tables], { name });
  }

  #ropeTable(part: keyof RopeTables, kind: 'query' | 'key', rotary: RotaryAngles): string {
    const { contextLength, headDim } = this.#shape;
    const scale = kind === 'query' ? this.#scoreScale : 1;
    return this.#graph.initializer({
      name: `${kind}_${part}${this.#suffix(rotary)}`,
      type: DataType.FLOAT,
      dims: [contextLength, headDim / 2],
      bytes: contextLength * headDim * 2,
      load: () => bytesOf(this.#tables(rotary, kind, scale)[part]),
    });
  }

  /** Cosines and sines are written one after the other; they are computed once for both. */
  #tables(rotary: RotaryAngles, kind: string, scale: number): RopeTables {
    const key = `${kind}${JSON.stringify(rotary)}`;
    const { headDim, contextLength } = this.#shape;
    if (this.#lastTables?.key !== key)
      this.#lastTables = { key, tables: rotaryTables(rotary, headDim, contextLength, scale) };
    return this.#lastTables.tables;
  }

  #suffix(rotary: RotaryAngles): string {
    const key = JSON.stringify(rotary);
    if (!this.#rotations.includes(key)) this.#rotations.push(key);
    const index = this.#rotations.indexOf(key);
    return index === 0 ? '' : `.${index}`;
  }

  /** → `(n, heads * headDim)`; queries and heads are batch dimensions, every product has one row. */
  attend(
    { query, key, value }: { query: string; key: string; value: string },
    { cache, bounds, mask }: { cache: number; bounds: WindowBounds; mask: string },
  ): string {
    const keyWindow = this.#keyWindow(key, cache, bounds);
    const valueWindow = this.#valueWindow(value, cache, bounds);
    const { kvHeads, headDim, heads } = this.#shape;
    const split = this.#graph.node('Reshape', [
      query,
      this.#graph.ints([-1, kvHeads, this.#queryHeadsPerKv, 1, headDim]),
    ]);
    // (kvHeads, heads per KV head, n, 1, headDim): the rows of one KV head run together, while its keys are in the processor's cache.
    const queries = this.#graph.node('Transpose', [split], { attributes: { perm: [1, 2, 0, 3, 4] } });
    const frozenScores = this.#graph.node('MatMul', [queries, `past_keys.${cache}`]);
    const windowScores = this.#graph.node('MatMul', [queries, keyWindow]);
    const scores = this.#graph.node('Concat', [frozenScores, windowScores], { attributes: { axis: 4 } });
    const masked = this.#graph.node('Add', [scores, mask]);
    const weights = this.#graph.node('Softmax', [masked], { attributes: { axis: -1 } });
    const [frozen, window] = this.#splitWeights(weights);
    const fromFrozen = this.#graph.node('MatMul', [frozen, `past_values.${cache}`]);
    const fromWindow = this.#graph.node('MatMul', [window, valueWindow]);
    const attended = this.#graph.node('Add', [fromFrozen, fromWindow]);
    const byRow = this.#graph.node('Transpose', [attended], { attributes: { perm: [2, 0, 1, 3, 4] } });
    return this.#graph.node('Reshape', [byRow, this.#graph.ints([-1, heads * headDim])]);
  }

  /** Keys of the window, `(kvHeads, 1, 1, headDim, 64)`: cached ones, those of this run, and zeros from behind the cached ones. */
  #keyWindow(key: string, cache: number, bounds: WindowBounds): string {
    const { kvHeads, headDim } = this.#shape;
    const split = this.#graph.node('Reshape', [key, this.#graph.ints([-1, kvHeads, 1, 1, headDim])]);
    const transposed = this.#graph.node('Transpose', [split], { attributes: { perm: [1, 2, 3, 4, 0] } });
    return this.#window(`past_keys.${cache}`, transposed, 4, bounds);
  }

  /** Values of the window, `(kvHeads, 1, 1, 64, headDim)`. */
  #valueWindow(value: string, cache: number, bounds: WindowBounds): string {
    const { kvHeads, headDim } = this.#shape;
    const split = this.#graph.node('Reshape', [value, this.#graph.ints([-1, kvHeads, 1, 1, headDim])]);
    const transposed = this.#graph.node('Transpose', [split], { attributes: { perm: [1, 2, 3, 0, 4] } });
    return this.#window(`past_values.${cache}`, transposed, 3, bounds);
  }

  #window(past: string, fresh: string, axis: number, bounds: WindowBounds): string {
    const axes = this.#graph.ints([axis]);
    const before = this.#graph.node('Slice', [past, bounds.start, bounds.past, axes]);
    const after = this.#graph.node('Slice', [past, bounds.newEnd, bounds.end, axes]);
    return this.#graph.node('Concat', [before, fresh, after], { attributes: { axis } });
  }

  /** `(…, C + 64)` → `(…, C)` and `(…, 64)`. */
  #splitWeights(weights: string): [string, string] {
    const axes = this.#graph.ints([4]);
    const border = this.#graph.ints([-WINDOW_POSITIONS]);
    const frozen = this.#graph.node('Slice', [weights, this.#graph.ints([0]), border, axes]);
    const window = this.#graph.node('Slice', [weights, border, this.#graph.ints([Number.MAX_SAFE_INTEGER]), axes]);
    return [frozen, window];
  }
}
