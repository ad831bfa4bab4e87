import { bfloat16ToFloat, floatToBfloat16Up } from '../numeric/bfloat16.js';
import { hadamard } from '../numeric/hadamard.js';
import { type DigitPacking, packDigits, packedBytes, unpackDigits } from './digit-packing.js';
import { rotatedBytes } from './row-bytes.js';
import type { RowCodec, RowCodecName } from './row-codec.js';

/** Numbers per rotation and scale. Longer ones spread outliers further, but the levels are made for this length. */
const BLOCK_MAX = 256;
/** A block whose rotated numbers go beyond is clamped first, so that no sum while decoding leaves the range of an f32. */
const ROTATED_MAX = 2 ** 123;
const INPUT_MAX = 2 ** 119;
const SCALE_BYTES = 2;
/** Cells of the table that finds a level; narrower than the least distance of two levels, so one comparison settles it. */
const CELLS_PER_SIDE = 256;

const SIGNS = Float64Array.from({ length: BLOCK_MAX }, (_, i) => scrambledSign(i));
/** Work space of one block. Encoding is synchronous and never nested, so one is enough for all sessions. */
const block = new Float64Array(BLOCK_MAX);
const codes = new Uint8Array(BLOCK_MAX + 2);

export interface RotatedCodecOptions {
  name: RowCodecName;
  /** Ascending, between -1 and 1. */
  levels: readonly number[];
  packing: DigitPacking;
}

/**
 * Rotates blocks of 256 numbers so that they look Gaussian whatever they were, then rounds each to one of a few levels
 * that are best for Gaussian numbers (QuaRot, Ashkboos et al. 2024; TurboQuant, Zandieh et al. 2025). No calibration.
 *
 *     z = H S x / sqrt(n)    scale = max|z|, as bfloat16 rounded up    code = nearest level to z / scale
 *
 * with S fixed signs and H the Hadamard matrix. A row is its blocks one behind the other, each scale (2 bytes, little
 * endian) and packed codes. A width that is no multiple of 256 ends in blocks of 128, 64 … 1, as its binary digits say.
 *
 * On purpose: a block of zeros has scale 0 and comes back as zeros, and so does one with nothing above 1e-45; NaN counts
 * as 0, an infinity as the block's largest finite magnitude, and finite numbers beyond 2^119 in a block that would
 * overflow count as that, so that one bad number does not wipe out its block and a finite row stays finite.
 */
export function createRotatedCodec({ name, levels, packing }: RotatedCodecOptions): RowCodec {
  const quantiser = makeQuantiser(levels);
  return {
    name,
    bytesPerRow: (width) => rotatedBytes(packing, width),
    encode(rows, width, target) {
      let at = 0;
      for (let row = 0; row < rows.length; row += width) {
        for (let from = 0; from < width; ) {
          const size = blockSize(width - from);
          at = encodeBlock(rows, row + from, size, quantiser, packing, target, at);
          from += size;
        }
      }
    },
    decode(source, width, target) {
      let at = 0;
      for (let row = 0; row < target.length; row += width) {
        for (let from = 0; from < width; ) {
          const size = blockSize(width - from);
          at = decodeBlock(source, at, quantiser, packing, target, row + from, size);
          from += size;
        }
      }
    },
  };
}

/** The largest power of two that fits. */
function blockSize(remaining: number): number {
  return remaining >= BLOCK_MAX ? BLOCK_MAX : 1 << (31 - Math.clz32(remaining));
}

/** Returns the position behind the block's bytes. */
function encodeBlock(
  rows: Float32Array,
  start: number,
  size: number,
  { firstOfCell, bounds }: Quantiser,
  packing: DigitPacking,
  target: Uint8Array,
  at: number,
): number {
  const norm = 1 / Math.sqrt(size);
  const largest = rotate(rows, start, size);
  const scaleBits = floatToBfloat16Up(largest * norm);
  const scale = bfloat16ToFloat(scaleBits);
  // From the block's numbers to cells of the table.
  const toCells = scale > 0 ? (norm / scale) * CELLS_PER_SIDE : 0;
  for (let i = 0; i < size; i++) {
    const position = block[i]! * toCells;
    const first = firstOfCell[(position + CELLS_PER_SIDE) | 0]!;
    codes[i] = position >= bounds[first]! ? first + 1 : first;
  }
  codes.fill(0, size, size + 2);
  target[at] = scaleBits;
  target[at + 1] = scaleBits >>> 8;
  packDigits(packing, codes, size, target, at + SCALE_BYTES);
  return at + SCALE_BYTES + packedBytes(packing, size);
}

/** Fills `block` with `H S x`, not normalised, and returns its largest magnitude. */
function rotate(rows: Float32Array, start: number, size: number): number {
  for (let i = 0; i < size; i++) block[i] = rows[start + i]! * SIGNS[i]!;
  hadamard(block, size);
  const largest = largestMagnitude(size);
  // Every sum has every number in it: one NaN or infinity shows in the first.
  if (Math.abs(block[0]!) < Infinity && largest <= ROTATED_MAX) return largest;
  tame(rows, start, size);
  hadamard(block, size);
  return largestMagnitude(size);
}

function largestMagnitude(size: number): number {
  let largest = 0;
  for (let i = 0; i < size; i++) {
    const magnitude = Math.abs(block[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** Fills `block` with `S x`, NaN and what is too large replaced. */
function tame(rows: Float32Array, start: number, size: number): void {
  let limit = 0;
  for (let i = start; i < start + size; i++) {
    const magnitude = Math.abs(rows[i]!);
    if (magnitude > limit && magnitude !== Infinity) limit = magnitude;
  }
  limit = Math.min(limit, INPUT_MAX);
  for (let i = 0; i < size; i++) {
    const value = rows[start + i]!;
    block[i] = Number.isNaN(value) ? 0 : Math.max(-limit, Math.min(limit, value)) * SIGNS[i]!;
  }
}

/** Returns the position behind the block's bytes. */
function decodeBlock(
  source: Uint8Array,
  at: number,
  { levels }: Quantiser,
  packing: DigitPacking,
  target: Float32Array,
  start: number,
  size: number,
): number {
  const next = at + SCALE_BYTES + packedBytes(packing, size);
  const scale = bfloat16ToFloat(source[at]! | (source[at + 1]! << 8));
  if (scale === 0) {
    // Not through the levels: they would make zeros with a sign.
    target.fill(0, start, start + size);
    return next;
  }
  unpackDigits(packing, source, at + SCALE_BYTES, codes, size);
  const factor = scale / Math.sqrt(size);
  for (let i = 0; i < size; i++) block[i] = levels[codes[i]!]! * factor;
  hadamard(block, size);
  for (let i = 0; i < size; i++) target[start + i] = block[i]! * SIGNS[i]!;
  return next;
}

interface Quantiser {
  /** Padded with NaN to 256, for codes that no encoder writes. */
  levels: Float64Array;
  /** The lowest code that a number in the cell can have. */
  firstOfCell: Uint8Array;
  /** In cells around zero: `bounds[code]` lies halfway between the levels `code` and `code + 1`. */
  bounds: Float64Array;
}

function makeQuantiser(levels: readonly number[]): Quantiser {
  const padded = new Float64Array(256).fill(NaN);
  padded.set(levels);
  const bounds = new Float64Array(levels.length).fill(Infinity);
  for (let code = 0; code + 1 < levels.length; code++) {
    bounds[code] = ((levels[code]! + levels[code + 1]!) / 2) * CELLS_PER_SIDE;
  }
  // One cell more on the right for 1 itself, one for what rounding puts beyond it.
  const firstOfCell = Uint8Array.from({ length: 2 * CELLS_PER_SIDE + 2 }, (_, cell) =>
    bounds.findIndex((bound) => bound > cell - CELLS_PER_SIDE),
  );
  return { levels: padded, firstOfCell, bounds };
}

/**
 * Plus or minus one, by the last step of MurmurHash3 (A. Appleby). Without signs, a row of equal numbers or of a regular
 * pattern, which H maps to a single spike, would be the worst case instead of a harmless one.
 */
function scrambledSign(index: number): 1 | -1 {
  let bits = index + 1;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) & 1 ? -1 : 1;
}
