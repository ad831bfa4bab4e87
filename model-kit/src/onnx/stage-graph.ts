/**
 * The graph of one stage of a transformer: inputs, outputs, and one layer after the other. What it computes, and why in
 * this way, is told in shared/src/stage/onnx-stage.ts, which feeds it. How models differ is told by `Arithmetic`.
 *
 * Sizes that vary: n rows in this run, C capacity of the KV cache, s = past - window start, m wanted rows.
 *
 * | input | type and shape | |
 * |---|---|---|
 * | `tokens` or `rows` | int32 (n) or f32 (n, width) | |
 * | `bounds` | int64 (4) | window start, past length, past + n, window end |
 * | `mask` | f32 (n, 1, C + 64) | added to the scores |
 * | `past_keys.L`, `past_values.L` | f32 (kv heads, 1, 1, head dim, C) and (kv heads, 1, 1, C, head dim) | L counts from 0 in the stage |
 * | `wanted` | int32 (m), stages with a head | offsets of the rows that get logits |
 *
 * | output | shape, all f32 |
 * |---|---|
 * | `output_rows` | (n, width) |
 * | `new_keys.L`, `new_values.L` | (1, n, kv heads · head dim) and (n, kv heads · head dim), keys turned to their position |
 * | `logits` | (m, vocabulary) |
 */
import type { Arithmetic, BiasedTensor, Format, LayerTensor, ManifestStage, ModelShape } from '@tandem/shared';
import { arithmeticOf, type Checkpoint, type TensorName } from '../checkpoint.js';
import type { Converter } from '../conversion/converter.js';
import { AttentionGraph } from './attention-graph.js';
import { DataType, GraphBuilder } from './graph-builder.js';
import { StageWeights } from './stage-weights.js';
import { type WindowBounds, WindowMasks } from './window-mask.js';

export type StagePlan = Pick<ManifestStage, 'from' | 'to' | 'input' | 'head'>;

export function buildStage(
  checkpoint: Checkpoint,
  stage: StagePlan,
  format: Format,
  converter?: Converter,
): GraphBuilder {
  const graph = new GraphBuilder();
  const weights = new StageWeights(graph, checkpoint, format, converter);
  const builder = new StageBuilder(graph, weights, checkpoint);
  builder.build(stage, checkpoint.fittedExits.includes(stage.to));
  return graph;
}

class StageBuilder {
  readonly #graph: GraphBuilder;
  readonly #weights: StageWeights;
  readonly #shape: ModelShape;
  readonly #arithmetic: Arithmetic;
  readonly #attention: AttentionGraph;

  constructor(graph: GraphBuilder, weights: StageWeights, checkpoint: Checkpoint) {
    this.#graph = graph;
    this.#weights = weights;
    this.#shape = checkpoint.shape;
    this.#arithmetic = arithmeticOf(checkpoint);
    this.#attention = new AttentionGraph(graph, this.#shape, this.#arithmetic);
  }

  build(stage: StagePlan, isFitted: boolean): void {
    const bounds = this.#declareInputs(stage);
    const masks = new WindowMasks(this.#graph, bounds);
    let rows = 'rows';
    if (stage.input === 'tokens') rows = this.#embed(bounds);
    for (let layer = stage.from; layer < stage.to; layer++) {
      const mask = masks.of(this.#arithmetic.layers[layer]!.slidingWindow, this.#shape.contextLength);
      rows = this.#addLayer({ layer, cache: layer - stage.from, bounds, mask }, rows);
    }
    this.#graph.node('Identity', [rows], { name: 'output_rows' });
    this.#graph.output('output_rows', DataType.FLOAT, ['n', this.#shape.width]);
    if (stage.head !== 'none') this.#addHead(rows, stage.head === 'exit' && isFitted ? stage.to : undefined);
  }

  #declareInputs(stage: StagePlan): WindowBounds {
    const { width, kvHeads, headDim } = this.#shape;
    if (stage.input === 'tokens') this.#graph.input('tokens', DataType.INT32, ['n']);
    else this.#graph.input('rows', DataType.FLOAT, ['n', width]);
    this.#graph.input('mask', DataType.FLOAT, ['n', 1, 'C+64']);
    this.#graph.input('bounds', DataType.INT64, [4]);
    for (let layer = 0; layer < stage.to - stage.from; layer++) {
      this.#graph.input(`past_keys.${layer}`, DataType.FLOAT, [kvHeads, 1, 1, headDim, 'C']);
      this.#graph.input(`past_values.${layer}`, DataType.FLOAT, [kvHeads, 1, 1, 'C', headDim]);
    }
    const attributes = { num_outputs: 4, axis: 0 };
    const [start, past, newEnd, end] = this.#graph.split('Split', ['bounds'], { attributes, outputs: 4 });
    return { start: start!, past: past!, newEnd: newEnd!, end: end! };
  }

  /** Of `tokens (n)`: `(n, width)`. */
  #embed(bounds: WindowBounds): string {
    const { embeddingScale, learnedPositions } = this.#arithmetic;
    let rows = this.#weights.lookUp('embedding', 'tokens');
    if (embeddingScale !== 1) rows = this.#graph.node('Mul', [rows, this.#graph.float(embeddingScale)]);
    if (!learnedPositions) return rows;
    const positions = this.#graph.range(bounds.past, bounds.newEnd);
    return this.#graph.node('Add', [rows, this.#weights.lookUp('positions', positions)]);
  }

  /** `rows (n, width)` → `(n, width)`. */
  #addLayer(place: LayerPlace, rows: string): string {
    const { normPlace } = this.#arithmetic;
    const normed = normPlace === 'after' ? rows : this.#norm(rows, `layers.${place.layer}.attentionNorm`);
    let attended = this.#project(place, this.#attend(place, normed), 'output');
    if (normPlace !== 'before') attended = this.#norm(attended, `layers.${place.layer}.attentionOutputNorm`);
    const afterAttention = this.#graph.node('Add', [rows, attended]);
    const normedAgain =
      normPlace === 'after' ? afterAttention : this.#norm(afterAttention, `layers.${place.layer}.feedForwardNorm`);
    let fed = this.#feedForward(place, normedAgain);
    if (normPlace !== 'before') fed = this.#norm(fed, `layers.${place.layer}.feedForwardOutputNorm`);
    return this.#graph.node('Add', [afterAttention, fed]);
  }

  /** `normed (n, width)` → `(n, heads * headDim)`; makes the outputs for the cache. */
  #attend(place: LayerPlace, normed: string): string {
    const { layer, cache, bounds, mask } = place;
    const { rotary } = this.#arithmetic.layers[layer]!;
    const turn = { rotary, past: bounds.past };
    const queries = this.#normHeads(this.#project(place, normed, 'query'), `layers.${layer}.queryNorm`);
    const query = this.#attention.rotate(queries, 'query', turn);
    const keys = this.#normHeads(this.#project(place, normed, 'key'), `layers.${layer}.keyNorm`);
    const key = this.#attention.rotate(keys, 'key', turn, `new_keys.${cache}`);
    const value = this.#project(place, normed, 'value', `new_values.${cache}`);
    const cacheWidth = this.#shape.kvHeads * this.#shape.headDim;
    this.#graph.output(key, DataType.FLOAT, [1, 'n', cacheWidth]);
    this.#graph.output(value, DataType.FLOAT, ['n', cacheWidth]);
    return this.#attention.attend({ query, key, value }, { cache, bounds, mask });
  }

  #feedForward(place: LayerPlace, normed: string): string {
    if (this.#arithmetic.feedForward === 'plain')
      return this.#project(place, this.#activate(this.#project(place, normed, 'up')), 'down');
    const gate = this.#project(place, normed, 'gate');
    const up = this.#project(place, normed, 'up');
    return this.#project(place, this.#graph.node('Mul', [this.#activate(gate), up]), 'down');
  }

  #activate(input: string): string {
    switch (this.#arithmetic.activation) {
      case 'silu':
        return this.#graph.node('Mul', [input, this.#graph.node('Sigmoid', [input])]);
      case 'gelu-tanh':
        return this.#graph.node('Gelu', [input], { attributes: { approximate: 'tanh' } });
    }
  }

  /** A product and, where the model has one, its bias. `name` is that of the result. */
  #project({ layer }: LayerPlace, input: string, tensor: BiasedTensor, name?: string): string {
    if (!this.#arithmetic.biases.includes(tensor))
      return this.#weights.multiply(input, `layers.${layer}.${tensor}`, name);
    const product = this.#weights.multiply(input, `layers.${layer}.${tensor}`);
    return this.#graph.node('Add', [product, this.#weights.floats(`layers.${layer}.${tensor}Bias`)], { name });
  }

  #norm(rows: string, gain: NormName): string {
    const attributes = { axis: -1, epsilon: { float: this.#shape.normEpsilon } };
    const inputs = [rows, this.#weights.floats(gain)];
    if (this.#arithmetic.norm === 'rms')
      return this.#graph.node('SimplifiedLayerNormalization', inputs, { attributes });
    return this.#graph.node('LayerNormalization', [...inputs, this.#weights.floats(`${gain}Bias`)], { attributes });
  }

  /** `(n, heads * headDim)` → the same, normed where queries and keys are. */
  #normHeads(projected: string, gain: TensorName): string {
    const { queryKeyNorm } = this.#arithmetic;
    if (queryKeyNorm === 'none') return projected;
    const attributes = { axis: -1, epsilon: { float: this.#shape.normEpsilon } };
    let heads = projected;
    if (queryKeyNorm === 'per-head')
      heads = this.#graph.node('Reshape', [projected, this.#graph.ints([0, -1, this.#shape.headDim])]);
    return this.#graph.node('SimplifiedLayerNormalization', [heads, this.#weights.floats(gain)], { attributes });
  }

  /** Logits of the wanted rows; `exit` is the layer whose fitted map goes before the final norm. */
  #addHead(rows: string, exit: number | undefined): void {
    this.#graph.input('wanted', DataType.INT32, ['m']);
    let chosen = this.#graph.node('Gather', [rows, 'wanted']);
    if (exit !== undefined)
      chosen = this.#weights.multiplyExact(chosen, `exits.${exit}.weight`, { bias: `exits.${exit}.bias` });
    const normed = this.#norm(chosen, 'finalNorm');
    this.#weights.multiply(normed, 'head', 'logits');
    this.#graph.output('logits', DataType.FLOAT, ['m', this.#shape.vocabularySize]);
  }
}

/** A layer in its stage. */
interface LayerPlace {
  layer: number;
  /** Its number in the stage. */
  cache: number;
  bounds: WindowBounds;
  mask: string;
}

type NormName = 'finalNorm' | `layers.${number}.${Extract<LayerTensor, `${'attention' | 'feedForward'}${string}Norm`>}`;
