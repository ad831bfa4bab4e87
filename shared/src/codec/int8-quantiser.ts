/** One step of an int8 code is the largest magnitude divided by this; -128 is not used, so that zero is in the middle. */
export const CODE_MAX = 127;

/** Adding and subtracting it leaves the nearest integer, half to even: there, doubles are one apart. NaN stays NaN. */
const ROUNDER = 1.5 * 2 ** 52;

/** The largest |rows[start, start + count)| that is neither infinite nor NaN; 0 when there is none. */
export function finiteMax(rows: Float32Array, start: number, count: number): number {
  let largest = 0;
  for (let i = start; i < start + count; i++) {
    const magnitude = Math.abs(rows[i]!);
    // False for NaN; infinity is left to saturate.
    if (magnitude > largest && magnitude < Infinity) largest = magnitude;
  }
  return largest;
}

/**
 * `code = round(number / scale)`, at most ±127, one byte each, to `target[at, at + count)`. `scale` is the number that
 * the decoder multiplies by. Infinity saturates; NaN becomes 0, as does everything where the scale is 0.
 */
export function quantiseToBytes(
  rows: Float32Array,
  start: number,
  count: number,
  scale: number,
  target: Uint8Array,
  at: number,
): void {
  // Finite even for a denormal scale: doubles reach further than the reciprocal of any f32.
  const inverse = scale > 0 ? 1 / scale : 0;
  for (let i = 0; i < count; i++) {
    const scaled = rows[start + i]! * inverse;
    // NaN passes through; written to an array of bytes it becomes 0.
    const clamped = Math.max(-CODE_MAX, Math.min(CODE_MAX, scaled));
    target[at + i] = clamped + ROUNDER - ROUNDER;
  }
}

/** `number = code * scale` */
export function dequantiseBytes(
  source: Uint8Array,
  at: number,
  count: number,
  scale: number,
  target: Float32Array,
  start: number,
): void {
  for (let i = 0; i < count; i++) target[start + i] = ((source[at + i]! << 24) >> 24) * scale;
}
