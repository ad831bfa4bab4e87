import { assert } from '../errors.js';

/**
 * Positions per window. A forward is split at its multiples, and the capacity is one of its multiples; why is told
 * in onnx-stage.ts. 64 positions make a prefill run large enough to be quick, and a window cheap enough to copy.
 */
export const WINDOW_POSITIONS = 64;

/** A full cache grows by a quarter: memory and attention over unused positions stay below 25 %, copies below 5 per position. */
const GROWTH = 1.25;

export interface KvCacheShape {
  layers: number;
  kvHeads: number;
  headDim: number;
  /** Positions that the cache may come to. */
  limit: number;
}

/**
 * Keys and values of one session and one stage, in arrays that belong to us: ONNX Runtime reads them without a copy.
 *
 * Keys lie transposed, so that scores are one plain matrix product: per layer `(kvHeads, headDim, capacity)`, values
 * `(kvHeads, capacity, headDim)`. Every entry from `length` on is zero, always: attention multiplies the unused
 * positions with zero probability, and a NaN left there by a forgotten row would come through.
 */
export class KvCache {
  readonly keys: Float32Array[];
  readonly values: Float32Array[];
  readonly #shape: KvCacheShape;
  #capacity = 0;
  #length = 0;

  constructor(shape: KvCacheShape) {
    this.#shape = shape;
    this.keys = Array.from({ length: shape.layers }, () => new Float32Array(0));
    this.values = Array.from({ length: shape.layers }, () => new Float32Array(0));
  }

  get length(): number {
    return this.#length;
  }

  /** Positions that the arrays have room for: a multiple of the window, and it changes only in `reserve`. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Makes room for `length` positions. Returns whether the arrays were replaced. */
  reserve(length: number): boolean {
    if (length <= this.#capacity) return false;
    const capacity = kvCapacity(length, this.#shape.limit);
    const { kvHeads, headDim } = this.#shape;
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      this.keys[layer] = copyLines(this.keys[layer]!, kvHeads * headDim, this.#capacity, capacity, this.#length);
      const used = this.#length * headDim;
      this.values[layer] = copyLines(this.values[layer]!, kvHeads, this.#capacity * headDim, capacity * headDim, used);
    }
    this.#capacity = capacity;
    return true;
  }

  /**
   * Stores `count` positions of one layer behind `length`, which `advance` then moves for all layers at once.
   *
   * `keys` and `values` are `(count, kvHeads, headDim)`. Returns false where a number is not finite.
   */
  write(layer: number, keys: Float32Array, values: Float32Array, count: number): boolean {
    const { kvHeads, headDim } = this.#shape;
    const keyCache = this.keys[layer]!;
    const valueCache = this.values[layer]!;
    const entries = kvHeads * headDim;
    // Infinity and NaN times zero are NaN, and NaN stays: one check at the end finds either.
    let poison = 0;
    for (let i = 0; i < count; i++) {
      const position = this.#length + i;
      for (let e = 0; e < entries; e++) {
        const key = keys[i * entries + e]!;
        const value = values[i * entries + e]!;
        keyCache[e * this.#capacity + position] = key;
        const head = (e / headDim) | 0;
        valueCache[(head * this.#capacity + position) * headDim + e - head * headDim] = value;
        poison += key * 0 + value * 0;
      }
    }
    return poison === 0;
  }

  /** The inverse of `write`: a copy of `count` positions of one layer, from `from` on. */
  read(layer: number, from: number, count: number): { keys: Float32Array; values: Float32Array } {
    const { kvHeads, headDim } = this.#shape;
    const entries = kvHeads * headDim;
    const keys = new Float32Array(count * entries);
    const values = new Float32Array(count * entries);
    for (let i = 0; i < count; i++) {
      for (let e = 0; e < entries; e++) {
        keys[i * entries + e] = this.keys[layer]![e * this.#capacity + from + i]!;
        const head = (e / headDim) | 0;
        values[i * entries + e] =
          this.values[layer]![(head * this.#capacity + from + i) * headDim + e - head * headDim]!;
      }
    }
    return { keys, values };
  }

  /** Takes `count` positions, written in every layer, into `length`. */
  advance(count: number): void {
    assert(this.#length + count <= this.#capacity, `${this.#length} + ${count} positions, room for ${this.#capacity}`);
    this.#length += count;
  }

  /** Forgets all positions from `length` on and zeroes them, and `unsettled` written but not advanced ones behind them. */
  truncate(length: number, unsettled = 0): void {
    assert(length >= 0 && length <= this.#length, `truncate to ${length} of ${this.#length}`);
    const end = Math.min(this.#length + unsettled, this.#capacity);
    const { kvHeads, headDim } = this.#shape;
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      zeroLines(this.keys[layer]!, kvHeads * headDim, this.#capacity, length, end);
      zeroLines(this.values[layer]!, kvHeads, this.#capacity * headDim, length * headDim, end * headDim);
    }
    this.#length = length;
  }

  /** Zeroes and gives back all memory. */
  clear(): void {
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      this.keys[layer]!.fill(0);
      this.values[layer]!.fill(0);
      this.keys[layer] = new Float32Array(0);
      this.values[layer] = new Float32Array(0);
    }
    this.#capacity = 0;
    this.#length = 0;
  }
}

/** Positions that a cache makes room for when it has to grow to `length` of at most `limit`. */
export function kvCapacity(length: number, limit: number): number {
  if (length === 0) return 0;
  const target = Math.min(Math.ceil(length * GROWTH), limit);
  return Math.ceil(Math.max(target, length) / WINDOW_POSITIONS) * WINDOW_POSITIONS;
}

/** `(lines, from)` → a new `(lines, to)`; the first `used` numbers of each line are kept, the rest is zero. */
function copyLines(source: Float32Array, lines: number, from: number, to: number, used: number): Float32Array {
  const target = new Float32Array(lines * to);
  for (let line = 0; line < lines; line++) target.set(source.subarray(line * from, line * from + used), line * to);
  return target;
}

/** Zeroes the numbers `[begin, end)` of each line of `(lines, size)`. */
function zeroLines(array: Float32Array, lines: number, size: number, begin: number, end: number): void {
  for (let line = 0; line < lines; line++) {
    for (let i = line * size + begin; i < line * size + end; i++) array[i] = 0;
  }
}
