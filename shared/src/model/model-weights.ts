import type { Arithmetic } from './arithmetic.js';

/** The sizes of a model. They are counts of elements, positions or layers. */
export interface ModelShape {
  /** Length of a row, the residual stream of one token. */
  width: number;
  layers: number;
  /** Query heads; a multiple of `kvHeads`. */
  heads: number;
  /** Key and value heads; each serves `heads / kvHeads` query heads (grouped-query attention). */
  kvHeads: number;
  headDim: number;
  /** Inner size of the feed-forward layer. */
  feedForward: number;
  vocabularySize: number;
  /** Positions that the model was made for. */
  contextLength: number;
  /** Base of the rotary position angles, where `Arithmetic` says nothing else. */
  ropeTheta: number;
  /** Added to the mean square under the root of every norm. */
  normEpsilon: number;
}

/**
 * Matrices are row-major `(outputs, inputs)`: `output = matrix · input`. Which of the optional tensors a layer has is
 * told by the model's `Arithmetic`.
 */
export interface LayerWeights {
  attentionNorm?: Float32Array; // (width)
  attentionNormBias?: Float32Array; // (width)
  query: Float32Array; // (heads * headDim, width)
  key: Float32Array; // (kvHeads * headDim, width)
  value: Float32Array; // (kvHeads * headDim, width)
  queryBias?: Float32Array; // (heads * headDim)
  keyBias?: Float32Array; // (kvHeads * headDim)
  valueBias?: Float32Array; // (kvHeads * headDim)
  queryNorm?: Float32Array; // (headDim) or (heads * headDim)
  keyNorm?: Float32Array; // (headDim) or (kvHeads * headDim)
  output: Float32Array; // (width, heads * headDim)
  outputBias?: Float32Array; // (width)
  attentionOutputNorm?: Float32Array; // (width)
  attentionOutputNormBias?: Float32Array; // (width)
  feedForwardNorm?: Float32Array; // (width)
  feedForwardNormBias?: Float32Array; // (width)
  gate?: Float32Array; // (feedForward, width)
  gateBias?: Float32Array; // (feedForward)
  up: Float32Array; // (feedForward, width)
  upBias?: Float32Array; // (feedForward)
  down: Float32Array; // (width, feedForward)
  downBias?: Float32Array; // (width)
  feedForwardOutputNorm?: Float32Array; // (width)
  feedForwardOutputNormBias?: Float32Array; // (width)
}

export type LayerTensor = keyof LayerWeights;

/** The fitted map of an early exit: logits = head(finalNorm(weight · row + bias)). */
export interface ExitWeights {
  weight: Float32Array; // (width, width)
  bias: Float32Array; // (width)
}

export interface ModelWeights {
  shape: ModelShape;
  /** Default: a Llama's. */
  arithmetic?: Arithmetic;
  embedding: Float32Array; // (vocabularySize, width)
  /** Learned positions, where the arithmetic has them. */
  positions?: Float32Array; // (contextLength, width)
  layers: LayerWeights[];
  finalNorm: Float32Array; // (width)
  finalNormBias?: Float32Array; // (width)
  /** `(vocabularySize, width)`; the same array as `embedding` where the head is tied. */
  head: Float32Array;
  /** By layer number. An exit without an entry is the plain logit lens: head(finalNorm(row)). */
  exits: ReadonlyMap<number, ExitWeights>;
}

/** The tensors of a layer, in the order in which a bundle's fingerprint reads them. */
export function layerTensors(arithmetic: Arithmetic): LayerTensor[] {
  const { norm, normPlace, queryKeyNorm, feedForward, biases } = arithmetic;
  const before = normPlace !== 'after';
  const after = normPlace !== 'before';
  const withBias = norm === 'layer';
  const when = (condition: boolean, ...names: LayerTensor[]) => (condition ? names : []);
  return [
    ...when(before, 'attentionNorm'),
    ...when(before && withBias, 'attentionNormBias'),
    'query',
    'key',
    'value',
    ...when(queryKeyNorm !== 'none', 'queryNorm', 'keyNorm'),
    'output',
    ...when(after, 'attentionOutputNorm'),
    ...when(after && withBias, 'attentionOutputNormBias'),
    ...when(before, 'feedForwardNorm'),
    ...when(before && withBias, 'feedForwardNormBias'),
    ...when(feedForward === 'gated', 'gate'),
    'up',
    'down',
    ...when(after, 'feedForwardOutputNorm'),
    ...when(after && withBias, 'feedForwardOutputNormBias'),
    ...biases.map((tensor) => `${tensor}Bias` as const),
  ];
}
