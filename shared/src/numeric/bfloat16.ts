/**
 * bfloat16: the upper half of a binary32. Two bytes with the range of an f32 and 8 bits of precision, which is all that
 * a scale needs. An f16 scale would overflow at 65,504 and lose small rows.
 */
const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

const LARGEST_FINITE = 0x7f7f;

/**
 * The smallest bfloat16 that is not below `magnitude`, at most the largest finite one. `magnitude` is finite and not
 * negative. Upwards, so that the largest number of a row never lies beyond the last level of its scale.
 */
export function floatToBfloat16Up(magnitude: number): number {
  scratchFloat[0] = magnitude;
  return Math.min((scratchBits[0]! + 0xffff) >>> 16, LARGEST_FINITE);
}

export function bfloat16ToFloat(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratchFloat[0]!;
}
