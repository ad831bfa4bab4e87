/** How a head is turned to its position, see rope.ts. */
export type RotaryAngles =
  /** Not at all: the layer knows positions from its mask and its neighbours only (NoPE), or from learned positions. */
  | { kind: 'none' }
  | { kind: 'plain'; theta: number }
  /** Positions are divided by `factor`. */
  | { kind: 'linear'; theta: number; factor: number }
  /** Long wave lengths are divided by `factor`, short ones are kept, those between are mixed (Llama 3.1). */
  | {
      kind: 'llama3';
      theta: number;
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      /** Positions that the model was trained for before it was stretched. */
      originalContext: number;
    }
  /**
   * The same idea by rotations in the original context: pairs that turn more often than `keptRotations` are kept, those that turn
   * less often than `dividedRotations` divided, in between mixed by their index (YaRN). Queries and keys grow by `growth`.
   */
  | {
      kind: 'yarn';
      theta: number;
      factor: number;
      keptRotations: number;
      dividedRotations: number;
      /** Whether the borders between the three are rounded to whole pairs, outwards. */
      rounded: boolean;
      originalContext: number;
      growth: number;
    }
  /** Every pair has a divisor of its own (LongRoPE); those here hold up to `originalContext` positions. */
  | { kind: 'divided'; theta: number; divisors: readonly number[]; originalContext: number; growth: number };

/** What may differ from layer to layer. */
export interface LayerArithmetic {
  rotary: RotaryAngles;
  /** A row sees this many positions, its own included; null: all before it. */
  slidingWindow: number | null;
}

/**
 * What a model computes besides its sizes. Graph builder and reference transformer follow it; neither knows the
 * name of any architecture.
 */
export interface Arithmetic {
  /** Root mean square, or mean and variance with a bias ("LayerNorm"). */
  norm: 'rms' | 'layer';
  /** Around attention and feed-forward: `row += f(norm(row))`, `row += norm(f(row))`, or both norms. */
  normPlace: 'before' | 'after' | 'around';
  /** RMS norm of queries and keys before they are turned: of every head by itself, or of all heads as one vector. */
  queryKeyNorm: 'none' | 'per-head' | 'whole';
  /** `down(act(gate(x)) · up(x))` or `down(act(up(x)))`. */
  feedForward: 'gated' | 'plain';
  /** `gelu-tanh`: the tanh approximation, as every GPT-2 and Gemma uses it. */
  activation: 'silu' | 'gelu-tanh';
  /** Products that a vector is added to. */
  biases: readonly BiasedTensor[];
  /** Embeddings are multiplied by it; the head is not. */
  embeddingScale: number;
  /** A learned vector per position is added to the embedding. */
  learnedPositions: boolean;
  /** Scores are multiplied by it; usually `1/√headDim`. */
  scoreScale: number;
  /** One entry per layer. */
  layers: readonly LayerArithmetic[];
}

export type BiasedTensor = 'query' | 'key' | 'value' | 'output' | 'gate' | 'up' | 'down';

/** What a Llama computes: the default wherever a model says nothing else. */
export function llamaArithmetic(shape: { layers: number; headDim: number; ropeTheta: number }): Arithmetic {
  const layer: LayerArithmetic = { rotary: { kind: 'plain', theta: shape.ropeTheta }, slidingWindow: null };
  return {
    norm: 'rms',
    normPlace: 'before',
    queryKeyNorm: 'none',
    feedForward: 'gated',
    activation: 'silu',
    biases: [],
    embeddingScale: 1,
    learnedPositions: false,
    scoreScale: 1 / Math.sqrt(shape.headDim),
    layers: Array.from({ length: shape.layers }, () => layer),
  };
}
