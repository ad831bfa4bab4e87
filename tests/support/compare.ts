import { expect } from 'vitest';

/** Fails, with the largest and the mean difference, unless both arrays hold the same bits. */
export function expectSameBits(actual: Float32Array, expected: Float32Array, label: string): void {
  expect(actual.length, `${label}: length`).toBe(expected.length);
  const actualBits = new Uint32Array(actual.buffer, actual.byteOffset, actual.length);
  const expectedBits = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  let different = 0;
  for (let i = 0; i < actualBits.length; i++) if (actualBits[i] !== expectedBits[i]) different++;
  if (different === 0) return;
  const { max, mean } = difference(actual, expected);
  expect.fail(`${label}: ${different} of ${actual.length} numbers differ, max ${max}, mean ${mean}`);
}

/** Largest and mean |actual - expected|; NaN where one of them is. */
export function difference(actual: Float32Array, expected: Float32Array): { max: number; mean: number } {
  let max = 0;
  let sum = 0;
  for (let i = 0; i < actual.length; i++) {
    const delta = Math.abs(actual[i]! - expected[i]!);
    // Not Math.max: a NaN must not be lost.
    if (!(delta <= max)) max = delta;
    sum += delta;
  }
  return { max, mean: sum / Math.max(1, actual.length) };
}
