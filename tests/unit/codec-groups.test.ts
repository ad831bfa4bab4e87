import { ROW_CODECS, type RowCodec, seededRandom } from '@tandem/shared';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode } from '../contracts/codec-contract.js';

const { int8, int8g64 } = ROW_CODECS;

test('int8g64: each group is a bfloat16 scale, rounded up, and its bytes', () => {
  const row = new Float32Array(66);
  row.set([127, -127, 63.4, 0.5]);
  row.set([-254, 3], 64);
  const bytes = [...encode(int8g64, row, 66)];
  expect(bytes.slice(0, 6)).toEqual([0x80, 0x3f, 127, 0x81, 63, 0]);
  expect(bytes.slice(6, 66).every((byte) => byte === 0)).toBe(true);
  // The last group is as long as what is left: 2 = 254 / 127, then -127 and 3 / 2 to even.
  expect(bytes.slice(66)).toEqual([0x00, 0x40, 0x81, 2]);
  // 1.001 is no bfloat16; 1.0078125 is the next.
  expect([...encode(int8g64, Float32Array.of(127 * 1.001), 1)]).toEqual([0x81, 0x3f, 126]);
});

test('int8g64: an outlier coarsens its own group only', () => {
  const random = seededRandom(3);
  const row = Float32Array.from({ length: 256 }, () => random.next() - 0.5);
  const calm = decode(int8g64, encode(int8g64, row, 256), 256);
  row[100] = 1_000;
  const decoded = decode(int8g64, encode(int8g64, row, 256), 256);
  expect([...decoded.slice(0, 64), ...decoded.slice(128)]).toEqual([...calm.slice(0, 64), ...calm.slice(128)]);
  expect(decoded.slice(64, 128)).not.toEqual(calm.slice(64, 128));
});

test('int8g64 stays within half a step of its group, for any numbers', () => {
  const rows = fc.float32Array({ minLength: 1, maxLength: 130, noNaN: true, noDefaultInfinity: true });
  const property = fc.property(rows, (row) => {
    const decoded = decode(int8g64, encode(int8g64, row, row.length), row.length);
    expect(decoded.every(Number.isFinite)).toBe(true);
    for (let start = 0; start < row.length; start += 64) {
      const group = row.subarray(start, start + 64);
      const largest = group.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      // Rounded up, the scale is at most 2^-7 larger, or one denormal step; the largest numbers of all are cut by 2^-7.
      const halfStep = (largest / 127) * 0.5001 * (1 + 2 ** -7) + 64 * 2 ** -133;
      const errorMax = largest > 3e38 ? largest * 2 ** -6 : halfStep;
      for (const [i, value] of group.entries())
        expect(Math.abs(decoded[start + i]! - value)).toBeLessThanOrEqual(errorMax);
    }
  });
  fc.assert(property, { numRuns: 2_000, seed: 3 });
});

test.each([int8, int8g64])('$name: NaN counts as 0, infinity as the largest finite magnitude', (codec: RowCodec) => {
  const bad = Float32Array.of(NaN, Infinity, -Infinity, 127, 1);
  expect(encode(codec, bad, 5)).toEqual(encode(codec, Float32Array.of(0, 127, -127, 127, 1), 5));
  const nothing = Float32Array.of(Infinity, NaN, -Infinity);
  expect([...decode(codec, encode(codec, nothing, 3), 3)]).toEqual([0, 0, 0]);
});

test('int8: halves go to the even neighbour, as in every place that rounds a float', () => {
  const row = Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997);
  expect([...new Int8Array(encode(int8, row, 8).buffer).slice(4)]).toEqual([127, 0, 2, 2, 0, -2, -2, 0]);
});
