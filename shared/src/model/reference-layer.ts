import { assert } from '../errors.js';
import type { Arithmetic, BiasedTensor } from './arithmetic.js';
import type { LayerTensor, LayerWeights, ModelShape } from './model-weights.js';
import {
  accumulate,
  activate,
  attend,
  gate,
  multiply,
  normalise,
  normaliseCentred,
  rotate,
} from './reference-kernels.js';
import type { RopeTables } from './rope.js';

/** Keys and values of one layer, each `(length, kvHeads, headDim)`; plain growth by doubling. */
export interface LayerCache {
  keys: Float32Array;
  values: Float32Array;
}

/** One layer of a model, run row by row. What it does is written in `Arithmetic`. */
export class ReferenceLayer {
  readonly #shape: ModelShape;
  readonly #arithmetic: Arithmetic;
  readonly #weights: LayerWeights;
  readonly #rope: RopeTables;
  /** Positions that a row sees at most. */
  readonly #window: number;

  constructor(parts: {
    shape: ModelShape;
    arithmetic: Arithmetic;
    weights: LayerWeights;
    rope: RopeTables;
    layer: number;
  }) {
    this.#shape = parts.shape;
    this.#arithmetic = parts.arithmetic;
    this.#weights = parts.weights;
    this.#rope = parts.rope;
    this.#window = parts.arithmetic.layers[parts.layer]!.slidingWindow ?? Infinity;
  }

  /** Changes `row (width)` in place; stores key and value of the position. */
  run(row: Float32Array, position: number, cache: LayerCache, scratch: Scratch): void {
    const { normPlace } = this.#arithmetic;
    const { normed, projected, attended } = scratch;
    if (normPlace === 'after') normed.set(row);
    else this.#norm(row, 'attentionNorm', normed);
    this.#attend(position, cache, scratch);
    this.#multiply('output', attended, projected);
    if (normPlace !== 'before') this.#norm(projected, 'attentionOutputNorm', projected);
    accumulate(row, projected);
    if (normPlace === 'after') normed.set(row);
    else this.#norm(row, 'feedForwardNorm', normed);
    this.#feedForward(scratch);
    if (normPlace !== 'before') this.#norm(projected, 'feedForwardOutputNorm', projected);
    accumulate(row, projected);
  }

  /** From `scratch.normed (width)` to `scratch.attended (heads, headDim)`. */
  #attend(position: number, cache: LayerCache, scratch: Scratch): void {
    const { heads, kvHeads, headDim } = this.#shape;
    const { normed, query, key, value, attended, scores } = scratch;
    const half = headDim / 2;
    const cosines = this.#rope.cosines.subarray(position * half, (position + 1) * half);
    const sines = this.#rope.sines.subarray(position * half, (position + 1) * half);
    this.#multiply('query', normed, query);
    this.#multiply('key', normed, key);
    this.#multiply('value', normed, value);
    this.#normHeads(query, 'queryNorm');
    this.#normHeads(key, 'keyNorm');
    rotate(query, headDim, cosines, sines);
    rotate(key, headDim, cosines, sines);
    cache.keys = store(cache.keys, position, key);
    cache.values = store(cache.values, position, value);
    const span = {
      first: Math.max(0, position + 1 - this.#window),
      end: position + 1,
      scale: this.#arithmetic.scoreScale,
    };
    for (let head = 0; head < heads; head++) {
      const offset = Math.floor(head / (heads / kvHeads)) * headDim;
      const part = [head * headDim, (head + 1) * headDim] as const;
      const read = { ...cache, stride: kvHeads * headDim, offset };
      attend(query.subarray(...part), read, span, scores, attended.subarray(...part));
    }
  }

  /** From `scratch.normed (width)` to `scratch.projected (width)`. */
  #feedForward(scratch: Scratch): void {
    const { feedForward, activation } = this.#arithmetic;
    const { normed, inner, up, projected } = scratch;
    if (feedForward === 'gated') {
      this.#multiply('gate', normed, inner);
      this.#multiply('up', normed, up);
      activate(inner, activation);
      gate(inner, up);
    } else {
      this.#multiply('up', normed, inner);
      activate(inner, activation);
    }
    this.#multiply('down', inner, projected);
  }

  #multiply(tensor: BiasedTensor, input: Float32Array, out: Float32Array): void {
    multiply(this.#tensor(tensor), input, out);
    if (this.#arithmetic.biases.includes(tensor)) accumulate(out, this.#tensor(`${tensor}Bias`));
  }

  /** `input` and `out` may be the same array. */
  #norm(input: Float32Array, tensor: NormTensor, out: Float32Array): void {
    const gain = this.#tensor(tensor);
    const { normEpsilon } = this.#shape;
    if (this.#arithmetic.norm === 'rms') normalise(input, gain, normEpsilon, out);
    else normaliseCentred(input, { gain, bias: this.#tensor(`${tensor}Bias`) }, normEpsilon, out);
  }

  #normHeads(heads: Float32Array, tensor: 'queryNorm' | 'keyNorm'): void {
    const { queryKeyNorm } = this.#arithmetic;
    if (queryKeyNorm === 'none') return;
    const size = queryKeyNorm === 'whole' ? heads.length : this.#shape.headDim;
    for (let begin = 0; begin < heads.length; begin += size) {
      const part = heads.subarray(begin, begin + size);
      normalise(part, this.#tensor(tensor), this.#shape.normEpsilon, part);
    }
  }

  #tensor(name: LayerTensor): Float32Array {
    const tensor = this.#weights[name];
    assert(tensor, `the layer has no ${name}`);
    return tensor;
  }
}

type NormTensor = 'attentionNorm' | 'attentionOutputNorm' | 'feedForwardNorm' | 'feedForwardOutputNorm';

/** Vectors that one row needs and the next row overwrites. */
export class Scratch {
  readonly normed: Float32Array; // (width)
  readonly projected: Float32Array; // (width)
  readonly query: Float32Array; // (heads, headDim)
  readonly attended: Float32Array; // (heads, headDim)
  readonly key: Float32Array; // (kvHeads, headDim)
  readonly value: Float32Array; // (kvHeads, headDim)
  readonly inner: Float32Array; // (feedForward)
  readonly up: Float32Array; // (feedForward)
  readonly scores: Float64Array; // (capacity)

  constructor(shape: ModelShape, capacity: number) {
    this.normed = new Float32Array(shape.width);
    this.projected = new Float32Array(shape.width);
    this.query = new Float32Array(shape.heads * shape.headDim);
    this.attended = new Float32Array(shape.heads * shape.headDim);
    this.key = new Float32Array(shape.kvHeads * shape.headDim);
    this.value = new Float32Array(shape.kvHeads * shape.headDim);
    this.inner = new Float32Array(shape.feedForward);
    this.up = new Float32Array(shape.feedForward);
    this.scores = new Float64Array(capacity);
  }
}

/** Writes `vector` as entry `position`; returns the cache, which doubles when it is full. */
export function store(cache: Float32Array, position: number, vector: Float32Array): Float32Array {
  let room = cache;
  if (room.length < (position + 1) * vector.length) {
    room = new Float32Array(Math.max(16, 2 * position) * vector.length);
    room.set(cache);
  }
  room.set(vector, position * vector.length);
  return room;
}
