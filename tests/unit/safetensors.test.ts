import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SAFETENSORS_HEADER_BYTES_MAX, SafetensorsFile } from '@tandem/model-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeSafetensors } from '../support/random-checkpoint.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function openBytes(bytes: Uint8Array): Promise<SafetensorsFile> {
  const path = join(folder, 'model.safetensors');
  await writeFile(path, bytes);
  return await SafetensorsFile.open(path);
}

/** A file with this header text and that many bytes of data. */
function withHeader(header: string, dataBytes = 0, claimed = Buffer.byteLength(header)): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimed));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]);
}

/** The first letter of the first name becomes a byte that UTF-8 never has. */
function breakUtf8(bytes: Uint8Array): Uint8Array {
  bytes[8 + 2] = 0xff;
  return bytes;
}

const tensor = (begin: number, end: number, shape: number[] = [(end - begin) / 4], dtype = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe('safetensors', () => {
  it('reads what was written, in all three types', async () => {
    const values = Float32Array.of(0, 1, -2, 0.5, 1024, -0.25);
    for (const dtype of ['F32', 'F16', 'BF16'] as const) {
      const file = await openBytes(encodeSafetensors(new Map([['a', { dims: [2, 3], values }]]), dtype));
      expect(file.names()).toEqual(['a']);
      expect(file.shapeOf('a')).toEqual([2, 3]);
      expect(await file.read('a', [2, 3]), dtype).toEqual(values);
      await expect(file.read('a', [3, 2])).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
      await expect(file.read('b', [2, 3])).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
      await file.close();
    }
  });

  it('lists tensors of other types and refuses to read them', async () => {
    const file = await openBytes(withHeader(`{"a":${tensor(0, 8, [8], 'I8')}}`, 8));
    await expect(file.read('a', [8])).rejects.toThrow(/type I8; supported are F32, F16, BF16/);
    await file.close();
  });

  it.each<[string, Uint8Array]>([
    ['an empty file', new Uint8Array(0)],
    ['less than a length', new Uint8Array(7)],
    ['a header longer than the file', withHeader('{}', 0, 3)],
    ['a header of exabytes', withHeader('{}', 0, Number.MAX_SAFE_INTEGER)],
    ['a header above the limit', withHeader('{}', 64, SAFETENSORS_HEADER_BYTES_MAX + 1)],
    ['no JSON', withHeader('{"a":')],
    ['broken UTF-8 in a name', breakUtf8(withHeader(`{"name":${tensor(0, 4)}}`, 4))],
    ['an array', withHeader('[]')],
    ['null', withHeader('null')],
    ['an entry that is no tensor', withHeader('{"a":1}')],
    ['an entry with unknown fields', withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4)],
    ['a negative size', withHeader(`{"a":${tensor(0, 4, [-1])}}`, 4)],
    ['a fractional size', withHeader(`{"a":${tensor(0, 4, [0.5])}}`, 4)],
    ['sizes that overflow', withHeader(`{"a":${tensor(0, 4, [2 ** 40, 2 ** 40])}}`, 4)],
    ['sizes that overflow to zero', withHeader(`{"a":${tensor(0, 4, [0, 2 ** 50, 2 ** 50])}}`, 4)],
    ['a range that ends before it begins', withHeader(`{"a":${tensor(8, 4, [1])}}`, 8)],
    [
      'such a range in a type that is not read',
      withHeader(`{"a":${tensor(0, 8, [8], 'I8')},"b":${tensor(8, 4, [0], 'I8')}}`, 4),
    ],
    ['a range behind the file', withHeader(`{"a":${tensor(0, 8)}}`, 4)],
    ['a range of another size than the shape', withHeader(`{"a":${tensor(0, 8, [3])}}`, 8)],
    ['tensors that overlap', withHeader(`{"a":${tensor(0, 8)},"b":${tensor(4, 12)}}`, 12)],
    ['a hole between tensors', withHeader(`{"a":${tensor(0, 4)},"b":${tensor(8, 12)}}`, 12)],
    ['bytes behind the last tensor', withHeader(`{"a":${tensor(0, 4)}}`, 8)],
    ['a tensor named __proto__ of a wrong size', withHeader(`{"__proto__":${tensor(0, 8, [1])}}`, 8)],
  ])('refuses %s', async (_, bytes) => {
    await expect(openBytes(bytes)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });

  it('refuses a missing file', async () => {
    await expect(SafetensorsFile.open(join(folder, 'none'))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});
