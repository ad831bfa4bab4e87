import { assert, TandemError } from '../errors.js';
import type { Stage, StageInput, StageModel, StageOutput, StageTail } from '../stage/stage.js';
import { type Arithmetic, llamaArithmetic } from './arithmetic.js';
import type { ExitWeights, ModelWeights } from './model-weights.js';
import { accumulate, multiply, normalise, normaliseCentred } from './reference-kernels.js';
import { type LayerCache, ReferenceLayer, Scratch, store } from './reference-layer.js';
import { type RopeTables, rotaryTables } from './rope.js';

/** Layers `[from, to)` with or without logits at their end. */
export interface ReferenceStageOptions {
  /** Default 0. */
  from?: number;
  /** Default: all layers. */
  to?: number;
  /** Default: `model` after the last layer, else `none`. */
  head?: 'exit' | 'model' | 'none';
}

/**
 * A transformer in plain TypeScript: the oracle that every engine is compared with, and the model of simulations.
 *
 * It goes row by row, so its rows cannot depend on their grouping. A layer of a Llama (pre-norm, Touvron et al. 2023):
 * `row += output(attention(norm(row)))`, then `row += down(silu(gate(norm(row))) · up(norm(row)))`; how others differ is
 * told by `Arithmetic`.
 */
export class ReferenceStageModel implements StageModel {
  readonly width: number;
  readonly vocabularySize: number;
  readonly hasHead: boolean;
  readonly kvBytesPerPosition: number;
  readonly #parts: StageParts;

  constructor(weights: ModelWeights, options: ReferenceStageOptions = {}) {
    const { shape } = weights;
    const from = options.from ?? 0;
    const to = options.to ?? shape.layers;
    const head = options.head ?? (to === shape.layers ? 'model' : 'none');
    assert(from >= 0 && from < to && to <= shape.layers, `layers [${from}, ${to}) of ${shape.layers}`);
    this.width = shape.width;
    this.vocabularySize = shape.vocabularySize;
    this.hasHead = head !== 'none';
    this.kvBytesPerPosition = 2 * (to - from) * shape.kvHeads * shape.headDim * Float32Array.BYTES_PER_ELEMENT;
    const arithmetic = weights.arithmetic ?? llamaArithmetic(shape);
    this.#parts = {
      weights,
      arithmetic,
      layers: makeLayers(weights, arithmetic, from, to),
      readsTokens: from === 0,
      hasHead: this.hasHead,
      exit: head === 'exit' ? weights.exits.get(to) : undefined,
    };
  }

  open(capacity: number): Stage {
    const { contextLength } = this.#parts.weights.shape;
    if (capacity > contextLength) {
      throw new TandemError(
        'CONTEXT_TOO_LONG',
        `capacity ${capacity}, the model has ${contextLength} positions; ask for fewer`,
      );
    }
    return new ReferenceStage(this.#parts, capacity);
  }

  async dispose(): Promise<void> {}
}

interface StageParts {
  weights: ModelWeights;
  arithmetic: Arithmetic;
  layers: ReferenceLayer[];
  readsTokens: boolean;
  hasHead: boolean;
  exit: ExitWeights | undefined;
}

/** Layers that turn alike share their tables. */
function makeLayers(weights: ModelWeights, arithmetic: Arithmetic, from: number, to: number): ReferenceLayer[] {
  const { shape } = weights;
  const tables = new Map<string, RopeTables>();
  return weights.layers.slice(from, to).map((layerWeights, index) => {
    const layer = from + index;
    const { rotary } = arithmetic.layers[layer]!;
    const key = JSON.stringify(rotary);
    const rope = tables.get(key) ?? rotaryTables(rotary, shape.headDim, shape.contextLength);
    tables.set(key, rope);
    return new ReferenceLayer({ shape, arithmetic, weights: layerWeights, rope, layer });
  });
}

class ReferenceStage implements Stage {
  readonly capacity: number;
  readonly #parts: StageParts;
  readonly #scratch: Scratch;
  /** Per layer. */
  readonly #caches: LayerCache[];
  #length = 0;

  constructor(parts: StageParts, capacity: number) {
    this.#parts = parts;
    this.capacity = capacity;
    this.#scratch = new Scratch(parts.weights.shape, capacity);
    this.#caches = parts.layers.map(() => ({ keys: new Float32Array(0), values: new Float32Array(0) }));
  }

  get length(): number {
    return this.#length;
  }

  async forward(input: StageInput, wanted: Int32Array): Promise<StageOutput> {
    const { shape } = this.#parts.weights;
    const count = input.kind === 'tokens' ? input.tokens.length : input.rows.length / shape.width;
    if (this.#length + count > this.capacity) {
      const message = `${this.#length} positions and ${count} more, capacity ${this.capacity}; shorten the prompt or the output`;
      throw new TandemError('CONTEXT_TOO_LONG', message);
    }
    const rows = this.#inputRows(input, count);
    for (let i = 0; i < count; i++) {
      const row = rows.subarray(i * shape.width, (i + 1) * shape.width);
      for (const [index, layer] of this.#parts.layers.entries())
        layer.run(row, this.#length, this.#caches[index]!, this.#scratch);
      this.#length++;
    }
    return { rows, logits: this.#logits(rows, wanted) };
  }

  truncate(length: number): void {
    assert(length >= 0 && length <= this.#length, `truncate to ${length} of ${this.#length}`);
    this.#length = length;
  }

  copyTail(from: number): StageTail {
    const { kvHeads, headDim } = this.#parts.weights.shape;
    const copy = (cache: Float32Array) => cache.slice(from * kvHeads * headDim, this.#length * kvHeads * headDim);
    return {
      from,
      count: this.#length - from,
      keys: this.#caches.map(({ keys }) => copy(keys)),
      values: this.#caches.map(({ values }) => copy(values)),
    };
  }

  appendTail({ from, count, keys, values }: StageTail): void {
    assert(from === this.#length, `a tail from ${from} behind ${this.#length} positions`);
    const { kvHeads, headDim } = this.#parts.weights.shape;
    const line = (tail: Float32Array, i: number) => tail.subarray(i * kvHeads * headDim, (i + 1) * kvHeads * headDim);
    for (const [layer, cache] of this.#caches.entries()) {
      for (let i = 0; i < count; i++) {
        cache.keys = store(cache.keys, from + i, line(keys[layer]!, i));
        cache.values = store(cache.values, from + i, line(values[layer]!, i));
      }
    }
    this.#length += count;
  }

  dispose(): void {
    for (const { keys, values } of this.#caches) {
      keys.fill(0);
      values.fill(0);
    }
    this.#caches.length = 0;
    this.#length = 0;
  }

  /** A copy of the rows, or the tokens' embeddings, `(count, width)`. */
  #inputRows(input: StageInput, count: number): Float32Array {
    const { shape, embedding, positions } = this.#parts.weights;
    const { embeddingScale, learnedPositions } = this.#parts.arithmetic;
    assert(this.#parts.readsTokens === (input.kind === 'tokens'), `this stage does not read ${input.kind}`);
    if (input.kind === 'rows') return input.rows.slice();
    const rows = new Float32Array(count * shape.width);
    input.tokens.forEach((token, i) => {
      assert(token >= 0 && token < shape.vocabularySize, `token ${token} of ${shape.vocabularySize}`);
      const row = rows.subarray(i * shape.width, (i + 1) * shape.width);
      row.set(embedding.subarray(token * shape.width, (token + 1) * shape.width));
      for (let e = 0; e < row.length; e++) row[e] = row[e]! * embeddingScale;
      const begin = (this.#length + i) * shape.width;
      if (learnedPositions) accumulate(row, positions!.subarray(begin, begin + shape.width));
    });
    return rows;
  }

  /** `(wanted.length, vocabularySize)`. */
  #logits(rows: Float32Array, wanted: Int32Array): Float32Array {
    if (!this.#parts.hasHead) return new Float32Array(0);
    const { shape, head } = this.#parts.weights;
    const { normed, projected } = this.#scratch;
    const logits = new Float32Array(wanted.length * shape.vocabularySize);
    wanted.forEach((offset, i) => {
      let row = rows.subarray(offset * shape.width, (offset + 1) * shape.width);
      if (this.#parts.exit !== undefined) {
        multiply(this.#parts.exit.weight, row, projected);
        accumulate(projected, this.#parts.exit.bias);
        row = projected;
      }
      this.#finalNorm(row, normed);
      multiply(head, normed, logits.subarray(i * shape.vocabularySize, (i + 1) * shape.vocabularySize));
    });
    return logits;
  }

  #finalNorm(row: Float32Array, out: Float32Array): void {
    const { shape, finalNorm, finalNormBias } = this.#parts.weights;
    if (this.#parts.arithmetic.norm === 'rms') normalise(row, finalNorm, shape.normEpsilon, out);
    else normaliseCentred(row, { gain: finalNorm, bias: finalNormBias! }, shape.normEpsilon, out);
  }
}
