import { createHash } from 'node:crypto';
import { ROW_CODECS, type RowCodecName, seededRandom } from '@tandem/shared';
import { expect, test } from 'vitest';
import { decode, encode } from '../contracts/codec-contract.js';

/**
 * The bytes of one short row, to look at, and the hash of longer ones with everything in them. A change here is a change
 * of the wire: give the codec another name instead.
 */
const GOLDEN: Record<RowCodecName, { row: string; rows: string; decoded: string }> = {
  f32: {
    row: '0000803f000000c00000003f00004040000080be000000000000f8400000e0c06f12833a00004041000080bf0000a040',
    rows: 'ca29930653021d1f69a66c16fadd4915',
    decoded: 'ca29930653021d1f69a66c16fadd4915',
  },
  f16: {
    row: '003c00c00038004200b40000c04700c71914004a00bc0045',
    rows: '81d3938a459a49ca7a4134d1e5c3c6e7',
    decoded: '2b07b25332a804a0a284802f9aa52298',
  },
  int8: {
    row: '0683c13d0beb0520fd0052b6007ff535',
    rows: 'ce1ed40b75a9af8a3e7aabadf18618e6',
    decoded: '8ce411dafb02702edc74c4e6f460ff34',
  },
  int8g64: {
    row: 'c23d0beb0520fd0052b6007ff535',
    rows: '2d665cf5e2483696cab9eea0183d2830',
    decoded: '02585b5f64bbbd2778bc059a59d0774b',
  },
  rot64: {
    row: 'f440b25a6880b9771141f4e303',
    rows: '171183f32d528b6d1b9ba8a23a9d64b0',
    decoded: 'd378412853e316d1a70e8667c9f581f0',
  },
  rot25: {
    row: 'f44085068e9812001141413b0000',
    rows: 'd7ef882d757a74bea50f8468edee67ae',
    decoded: '77210ea6e693da92bfc24af2937e3aad',
  },
  rot16: {
    row: 'f440ac61907e11414c0f',
    rows: 'd29a07b2de381e4b01facb57d72e7ffd',
    decoded: 'ef3cfd72fe64d61355c2c5c7a491549e',
  },
};

const WIDTH = 600;

test.each(Object.entries(GOLDEN))('%s: the bytes are those of the first release', (name, golden) => {
  const codec = ROW_CODECS[name as RowCodecName];
  const row = Float32Array.of(1, -2, 0.5, 3, -0.25, 0, 7.75, -7, 1e-3, 12, -1, 5);
  expect(Buffer.from(encode(codec, row, row.length)).toString('hex')).toBe(golden.row);
  const encoded = encode(codec, sampleRows(), WIDTH);
  expect(sha256(encoded)).toBe(golden.rows);
  expect(sha256(decode(codec, encoded, WIDTH))).toBe(golden.decoded);
});

/** `(6, 600)`: plain arithmetic only, so that every engine makes the same numbers; with an outlier, denormals and infinities. */
function sampleRows(): Float32Array {
  const random = seededRandom(2024);
  const sizes = [1, 5, 1e-3, 3e4, 1e-41, 8];
  const rows = Float32Array.from({ length: sizes.length * WIDTH }, (_, i) => {
    const bell = random.next() + random.next() + random.next() + random.next() - 2;
    return bell * sizes[Math.floor(i / WIDTH)]!;
  });
  rows[WIDTH + 7] = 300;
  rows.set([Infinity, -Infinity], 5 * WIDTH);
  return rows;
}

function sha256(data: Uint8Array | Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
    .slice(0, 32);
}
