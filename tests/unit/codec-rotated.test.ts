import { ROW_CODECS, type RowCodec, seededRandom } from '@tandem/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode } from '../contracts/codec-contract.js';

/** One bit per number of a block, the first number's first; 1 is minus. Part of the wire. */
const SIGN_BITS = 'b99659460d145ddcc342b0f28464c85b98d62ffb181bde40746f267a5b1e79ab';
const BLOCK = 256;

const CASES = [
  { codec: ROW_CODECS.rot64, count: 64, bits: 6 },
  { codec: ROW_CODECS.rot25, count: 25, bits: 14 },
  { codec: ROW_CODECS.rot16, count: 16, bits: 4 },
] as const;

describe.each(CASES)('$codec.name', ({ codec, count, bits }) => {
  const levels = readLevels(codec, count);
  const gaps = levels.slice(1).map((level, i) => level - levels[i]!);
  /** Furthest that a number between -1 and 1 is from its level. */
  const levelErrorMax = Math.max(...gaps.map((gap) => gap / 2), 1 - levels.at(-1)!);

  test('the levels are as many as the name says, ascending and symmetric', () => {
    expect(levels).toHaveLength(count);
    for (let i = 0; i < count; i++) {
      expect(levels[i]).toBe(-levels[count - 1 - i]! + 0);
      if (i > 0) expect(levels[i]!).toBeGreaterThan(levels[i - 1]!);
    }
    expect(levels.at(-1)!).toBeLessThan(1);
  });

  test.each([1, 2, 16, 256])('width %d: bytes mean what the format says', (width) => {
    const random = seededRandom(width);
    const rows = Float32Array.from({ length: width }, () => gaussian(random) * 5);
    const bytes = encode(codec, rows, width);
    const { scale, codes } = readBlock(bytes, width, count, bits);
    const expected = rotateSlowly(codes.map((code) => levels[code]! * scale)).map((value, i) => value * signAt(i));
    const decoded = decode(codec, bytes, width);
    for (let i = 0; i < width; i++) expect(Math.abs(decoded[i]! - expected[i]!)).toBeLessThan(1e-5);
  });

  test('every rotated number goes to the nearest level, and the largest one fits the scale', () => {
    const random = seededRandom(99);
    for (let round = 0; round < 8; round++) {
      const row = Float32Array.from({ length: BLOCK }, () => gaussian(random) * 10 ** round);
      const { scale, codes } = readBlock(encode(codec, row, BLOCK), BLOCK, count, bits);
      const rotated = rotateSlowly([...row].map((value, i) => value * signAt(i)));
      const largest = Math.max(...rotated.map(Math.abs));
      expect(scale).toBeGreaterThanOrEqual(largest * (1 - 1e-6));
      expect(scale).toBeLessThanOrEqual(largest * (1 + 2 ** -7));
      for (const [i, value] of rotated.entries()) {
        const chosen = Math.abs(levels[codes[i]!]! - value / scale);
        const best = Math.min(...levels.map((level) => Math.abs(level - value / scale)));
        expect(chosen - best).toBeLessThan(1e-6);
      }
    }
  });

  test('a block is off by no more than its widest gap allows, whatever its numbers', () => {
    const value = fc.oneof(
      fc.float({ noNaN: true, noDefaultInfinity: true, max: 2 ** 118, min: -(2 ** 118) }),
      fc.constant(0),
    );
    const rows = fc.integer({ min: 0, max: 8 }).chain((power) => {
      const length = 2 ** power;
      return fc.array(value, { minLength: length, maxLength: length });
    });
    const property = fc.property(rows, (numbers) => {
      const row = Float32Array.from(numbers);
      const bytes = encode(codec, row, row.length);
      const { scale } = readBlock(bytes, row.length, count, bits);
      const decoded = decode(codec, bytes, row.length);
      const squares = row.reduce((sum, number, i) => sum + (decoded[i]! - number) ** 2, 0);
      // 2^-140: what f32 and bfloat16 denormals lose by themselves.
      expect(Math.sqrt(squares / row.length)).toBeLessThanOrEqual(levelErrorMax * 1.001 * scale + 2 ** -140);
    });
    fc.assert(property, { numRuns: 500, seed: 4 });
  });

  test('a finite row stays finite, however large', () => {
    const rows = fc.float32Array({ minLength: 1, maxLength: 300, noNaN: true, noDefaultInfinity: true });
    const property = fc.property(rows, (row) => {
      expect(decode(codec, encode(codec, row, row.length), row.length).every(Number.isFinite)).toBe(true);
    });
    fc.assert(property, { numRuns: 500, seed: 5 });
    const largest = new Float32Array(BLOCK).fill(3.4028234663852886e38).map((value, i) => value * signAt(i));
    expect(decode(codec, encode(codec, largest, BLOCK), BLOCK).every(Number.isFinite)).toBe(true);
  });

  test('NaN counts as 0 and infinity as the largest finite magnitude of the block', () => {
    const random = seededRandom(8);
    const row = Float32Array.from({ length: BLOCK }, () => gaussian(random));
    const finiteMax = Math.max(...row.map(Math.abs));
    const bad = row.slice();
    const replaced = row.slice();
    for (const [at, value, instead] of [
      [3, NaN, 0],
      [70, Infinity, finiteMax],
      [255, -Infinity, -finiteMax],
    ] as const) {
      bad[at] = value;
      replaced[at] = instead;
    }
    expect(encode(codec, bad, BLOCK)).toEqual(encode(codec, replaced, BLOCK));
    const nothing = Float32Array.of(NaN, Infinity, -Infinity, NaN);
    expect([...decode(codec, encode(codec, nothing, 4), 4)]).toEqual([0, 0, 0, 0]);
  });

  test('one channel a hundred times the others does not drown them, and equal numbers are no worse than random ones', () => {
    const random = seededRandom(6);
    const row = Float32Array.from({ length: BLOCK }, () => gaussian(random));
    row[17] = 100;
    // The scale is about 100 / sqrt(256) instead of 100: so much finer are the levels for the other numbers.
    expect(rootMeanSquareError(codec, row)).toBeLessThan(100 * levelErrorMax * 0.12);
    const equal = new Float32Array(BLOCK).fill(1);
    expect(rootMeanSquareError(codec, equal)).toBeLessThan(1.5 * rootMeanSquareError(codec, row.map(Math.sign)));
  });
});

test('bytes that no encoder writes come back as NaN, which the engine refuses', () => {
  const { rot25 } = ROW_CODECS;
  expect(Number.isNaN(decode(rot25, Uint8Array.of(0x80, 0x3f, 0xff, 0x3f), 1)[0])).toBe(false);
  expect(
    [...decode(rot25, Uint8Array.of(0x80, 0x3f, 0xff, 0x3f, 0, 0, 0, 0x80, 0x3f, 0, 0), 5)].some(Number.isNaN),
  ).toBe(true);
  for (const { codec } of CASES) {
    const bytes = new Uint8Array(codec.bytesPerRow(4)).fill(0xff);
    expect(decode(codec, bytes, 4).every(Number.isFinite)).toBe(false);
  }
});

/** A block of one number with scale 1 comes back as its level, times the sign of the first number. */
function readLevels(codec: RowCodec, count: number): number[] {
  return Array.from({ length: count }, (_, code) => {
    const bytes = new Uint8Array(codec.bytesPerRow(1));
    bytes.set([0x80, 0x3f, code]);
    return decode(codec, bytes, 1)[0]! * signAt(0) + 0;
  });
}

/** Scale and codes of the first block, read by the description of the format alone. */
function readBlock(bytes: Uint8Array, size: number, count: number, bits: number): { scale: number; codes: number[] } {
  const scale = new Float32Array(Uint32Array.of((bytes[0]! | (bytes[1]! << 8)) << 16).buffer)[0]!;
  let digits = 0n;
  for (let i = bytes.length - 1; i >= 2; i--) digits = (digits << 8n) | BigInt(bytes[i]!);
  const perWord = bits === 14 ? 3 : 1;
  const codes: number[] = [];
  for (; codes.length < size; digits >>= BigInt(bits)) {
    let word = Number(digits & ((1n << BigInt(bits)) - 1n));
    for (let digit = 0; digit < perWord; digit++) {
      codes.push(word % count);
      word = Math.floor(word / count);
    }
  }
  return { scale, codes: codes.slice(0, size) };
}

/** The Hadamard matrix by its definition. */
function rotateSlowly(values: readonly number[]): number[] {
  return values.map((_, row) => {
    let sum = 0;
    for (const [column, value] of values.entries()) sum += isOdd(row & column) ? -value : value;
    return sum / Math.sqrt(values.length);
  });
}

function isOdd(bits: number): boolean {
  let parity = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) parity ^= 1;
  return parity === 1;
}

function signAt(position: number): number {
  const digit = Number.parseInt(SIGN_BITS[position >> 2]!, 16);
  return (digit >> (3 - (position & 3))) & 1 ? -1 : 1;
}

function rootMeanSquareError(codec: RowCodec, row: Float32Array): number {
  const decoded = decode(codec, encode(codec, row, row.length), row.length);
  return Math.sqrt(row.reduce((sum, number, i) => sum + (decoded[i]! - number) ** 2, 0) / row.length);
}

/** Box and Muller. */
function gaussian(random: { next(): number }): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
