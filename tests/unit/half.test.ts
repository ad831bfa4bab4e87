import { floatsToHalves, floatToHalf, halfToFloat, halvesToFloats } from '@tandem/shared';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const HALVES = 65_536;
const isNaNHalf = (half: number) => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;

/** IEEE 754 by the book: sign · 2^(exponent − 15) · (1 + fraction / 1024), with the two special exponents. */
function slowHalfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * (fraction / 1024) * 2 ** -14;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The finite halves that are not negative, ascending; their index is their code. */
const POSITIVE = Array.from({ length: 0x7c00 }, (_, half) => slowHalfToFloat(half));

/** Searches the nearest half; of two that are equally near the one with an even code. */
function slowFloatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(Math.fround(value));
  if (Number.isNaN(magnitude)) return NaN;
  // The largest half is 65,504; from the middle to 65,536 on, rounding overflows.
  if (magnitude >= 65_520) return sign | 0x7c00;
  let low = 0;
  let high = POSITIVE.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (POSITIVE[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - POSITIVE[low]!;
  const above = (POSITIVE[low + 1] ?? 65_536) - magnitude;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : low + 1);
}

test('every half means what IEEE 754 says and comes back as the same bits', () => {
  for (let half = 0; half < HALVES; half++) {
    const value = halfToFloat(half);
    if (isNaNHalf(half)) {
      expect(value).toBeNaN();
      expect(isNaNHalf(floatToHalf(value))).toBe(true);
    } else {
      if (!Object.is(value, slowHalfToFloat(half))) expect.fail(`half ${half} is ${value}`);
      if (floatToHalf(value) !== half) expect.fail(`half ${half} comes back as ${floatToHalf(value)}`);
    }
  }
});

test('ties go to the even neighbour, over the whole range', () => {
  for (let half = 0; half + 1 < 0x7c00; half++) {
    const tie = (POSITIVE[half]! + POSITIVE[half + 1]!) / 2;
    const even = half % 2 === 0 ? half : half + 1;
    if (floatToHalf(tie) !== even) expect.fail(`between ${half} and ${half + 1}: ${floatToHalf(tie)}`);
    if (floatToHalf(-tie) !== (even | 0x8000)) expect.fail(`between -${half} and -${half + 1}`);
  }
});

test.each([
  [0, 0],
  [-0, 0x8000],
  [65_504, 0x7bff],
  [65_519.996, 0x7bff],
  [65_520, 0x7c00],
  [3.4e38, 0x7c00],
  [Infinity, 0x7c00],
  [-Infinity, 0xfc00],
  [2 ** -24, 1],
  [2 ** -25, 0],
  [2 ** -25 * 1.0001, 1],
  [1e-45, 0],
  [-1e-45, 0x8000],
])('%d is half 0x%s', (value, half) => {
  expect(floatToHalf(value)).toBe(half);
});

test('any float goes where the slow search puts it', () => {
  const property = fc.property(fc.float(), fc.integer({ min: -20, max: 20 }), (value, exponent) => {
    for (const scaled of [value, Math.fround((value % 1) * 2 ** exponent)]) {
      const expected = slowFloatToHalf(scaled);
      const half = floatToHalf(scaled);
      expect(Number.isNaN(expected) ? isNaNHalf(half) : half === expected).toBe(true);
    }
  });
  fc.assert(property, { numRuns: 10_000, seed: 1 });
});

test('arrays go the way of single numbers, from any offset of a buffer', () => {
  const buffer = new ArrayBuffer(4 * 12);
  const floats = new Float32Array(buffer, 8, 8);
  floats.set([1, -1, 0.1, 70_000, NaN, 2 ** -24, -0, 1 / 3]);
  const halves = new Uint16Array(8);
  floatsToHalves(floats, halves);
  expect([...halves]).toEqual([...floats].map(floatToHalf));
  const back = new Float32Array(8);
  halvesToFloats(halves, back);
  expect([...back]).toEqual([...halves].map(halfToFloat));
});
