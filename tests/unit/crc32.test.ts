import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32, seededRandom } from '@tandem/shared';
import { expect, test } from 'vitest';

const ascii = (text: string) => new TextEncoder().encode(text);

test.each([
  ['', 0x00000000],
  ['a', 0xe8b7be43],
  ['123456789', 0xcbf43926],
  ['The quick brown fox jumps over the lazy dog', 0x414fa339],
])('checksum of "%s"', (text, checksum) => {
  expect(crc32(ascii(text))).toBe(checksum);
});

test.runIf(zlibCrc32)('equals the one of zlib, for views into larger buffers, too', () => {
  const random = seededRandom(1);
  const bytes = Uint8Array.from({ length: 5_000 }, () => Math.floor(random.next() * 256));
  for (const [begin, end] of [
    [0, 5_000],
    [1, 4_999],
    [3, 7],
  ]) {
    const part = bytes.subarray(begin, end);
    expect(crc32(part)).toBe(zlibCrc32(part));
  }
});

test('every single flipped bit is noticed', () => {
  const bytes = ascii('rows of the residual stream');
  const checksum = crc32(bytes);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] = damaged[bit >> 3]! ^ (1 << (bit & 7));
    expect(crc32(damaged)).not.toBe(checksum);
  }
});
