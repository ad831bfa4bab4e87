import {
  bytesPerTokenId,
  decodeTokenIds,
  defaultCodec,
  encodeTokenIds,
  f16Codec,
  f32Codec,
  int8Codec,
  ROW_CODEC_NAMES,
  ROW_CODECS,
  rowCodec,
  seededRandom,
  throughCodec,
} from '@tandem/shared';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode } from '../contracts/codec-contract.js';

test('the table and the list of names agree', () => {
  expect(Object.keys(ROW_CODECS)).toEqual([...ROW_CODEC_NAMES]);
  for (const name of ROW_CODEC_NAMES) expect(rowCodec(name).name).toBe(name);
  expect(() => rowCodec('int3')).toThrow('INVALID_OPTION: codec "int3" is unknown; use one of f32, f16, int8');
});

/** Largest magnitude whose scale is not denormal: below, a step is coarser than max / 127. */
const INT8_EXACT_MIN = 127 * 2 ** -126;

test('int8 stays within half a step for any row that is not made of denormals', () => {
  const rows = fc.float32Array({ minLength: 1, maxLength: 16, noNaN: true, noDefaultInfinity: true });
  const property = fc.property(rows, (row) => {
    const largest = row.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const decoded = decode(int8Codec, encode(int8Codec, row, row.length), row.length);
    const errorMax = Math.max(largest, INT8_EXACT_MIN) * (0.50002 / 127);
    expect(row.every((value, i) => Math.abs(value - decoded[i]!) <= errorMax)).toBe(true);
  });
  fc.assert(property, { numRuns: 5_000, seed: 2 });
});

test('int8 gives the largest number of a row its own magnitude, and layouts are as documented', () => {
  const encoded = encode(int8Codec, Float32Array.of(-127, 0, 63.4, 127), 4);
  expect([...encoded]).toEqual([0, 0, 0x80, 0x3f, 0x81, 0, 63, 127]);
});

test('int8 never turns a finite row into infinity', () => {
  for (const largest of [3.4028234663852886e38, 3.4e38, 1e-45, 5e-43, 1.1754944e-38]) {
    const decoded = decode(int8Codec, encode(int8Codec, Float32Array.of(largest, -largest), 2), 2);
    expect(decoded.every(Number.isFinite)).toBe(true);
  }
});

test('int8: one bad number does not wipe out its row', () => {
  const decoded = decode(int8Codec, encode(int8Codec, Float32Array.of(NaN, Infinity, -Infinity, 127, 1), 5), 5);
  expect([...decoded]).toEqual([0, 127, -127, 127, 1]);
  expect([...decode(int8Codec, encode(int8Codec, Float32Array.of(Infinity, NaN), 2), 2)]).toEqual([0, 0]);
});

test('f16 overflows to infinity and refuses an odd target', () => {
  expect([...throughCodec(f16Codec, Float32Array.of(1e6, -1e6), 2)]).toEqual([Infinity, -Infinity]);
  expect(() => f16Codec.encode(Float32Array.of(1), 1, new Uint8Array(3).subarray(1))).toThrow('even byte');
});

test('f32 keeps every bit, those of a NaN, too', () => {
  const bits = Uint32Array.of(0x7fc12345, 0xff800001, 0x80000000, 1);
  const decoded = decode(f32Codec, encode(f32Codec, new Float32Array(bits.buffer), 2), 2);
  expect(new Uint32Array(decoded.buffer)).toEqual(bits);
});

test.each([...ROW_CODEC_NAMES])('%s: rows that passed the codec in process are those of the wire', (name) => {
  const random = seededRandom(4);
  const rows = Float32Array.from({ length: 24 }, () => random.next() - 0.5);
  const codec = ROW_CODECS[name];
  expect(throughCodec(codec, rows, 8)).toEqual(decode(codec, encode(codec, rows, 8), 8));
});

test.each([
  [1, 2],
  [65_536, 2],
  [65_537, 4],
] as const)('ids of a vocabulary of %d take %d bytes', (vocabularySize, bytes) => {
  expect(bytesPerTokenId(vocabularySize)).toBe(bytes);
  const ids = [0, 1, 258, vocabularySize - 1];
  const encoded = encodeTokenIds(ids, vocabularySize);
  expect(encoded.length).toBe(bytes * ids.length);
  expect([...encoded.slice(2 * bytes, 2 * bytes + 2)]).toEqual([2, 1]);
  for (const pool of [new Uint8Array(encoded.length + 1), Buffer.alloc(encoded.length + 1)]) {
    pool.set(encoded, 1);
    expect([...decodeTokenIds(pool.subarray(1), vocabularySize)]).toEqual(ids);
  }
});

test('without a choice rows travel in f16, wide ones in int8 by groups', () => {
  expect([defaultCodec(256), defaultCodec(1_024), defaultCodec(4_096)]).toEqual(['f16', 'f16', 'int8g64']);
});
