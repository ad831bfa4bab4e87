import { cp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkTokenizer, prepareBundle } from '@tandem/model-kit';
import { systemClock } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { TOKENIZER_NAMES } from '../support/tokenizer-fixture.js';

const CPU_MS_MAX = 1_000;
const MEMORY_MIB_MAX = 64;
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

let checkpoint: string;
beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint();
});
afterAll(() => removeFolder(checkpoint));

/** A way to break a checkpoint, by folder. */
type Damage = (folder: string) => Promise<void>;

const changeBytes = async (path: string, change: (bytes: Buffer) => void) => {
  const bytes = await readFile(path);
  change(bytes);
  await writeFile(path, bytes);
};
const changeHeader = async (path: string, change: (header: Record<string, { data_offsets: number[] }>) => void) => {
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  change(header);
  const text = JSON.stringify(header).padEnd(length);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  await writeFile(path, Buffer.concat([prefix, Buffer.from(text), bytes.subarray(8 + length)]));
};
const intoShard = async (folder: string) => {
  const shard = 'model-00001-of-00001.safetensors';
  await rename(join(folder, WEIGHTS), join(folder, shard));
  await writeFile(join(folder, INDEX), JSON.stringify({ weight_map: { a: shard } }));
  return join(folder, shard);
};
const withTokenizer =
  (part: object): Damage =>
  async (folder) => {
    const path = join(folder, 'tokenizer.json');
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...part }));
  };
const splitBy = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });

describe('hostile checkpoints meet a typed error within a second, and take little memory', () => {
  it.each<[string, Damage, RegExp]>([
    ['a truncated shard', async (folder) => truncate(await intoShard(folder), 50_000), /is the download complete\?/],
    [
      'a header of 2^60 bytes',
      (folder) => changeBytes(join(folder, WEIGHTS), (bytes) => bytes.writeBigUInt64LE(2n ** 60n)),
      /claims a header of 1152921504606847000 bytes, limit \d+/,
    ],
    [
      'tensors that overlap',
      (folder) =>
        changeHeader(join(folder, WEIGHTS), (header) => {
          const norms = Object.entries(header).filter(([name]) => name.includes('norm'));
          norms[0]![1].data_offsets = norms[1]![1].data_offsets;
        }),
      /overlap or leave a hole/,
    ],
    [
      'an index that points outside',
      async (folder) => {
        await intoShard(folder);
        await writeFile(join(folder, INDEX), JSON.stringify({ weight_map: { a: '../../etc/passwd' } }));
      },
      /has no weight_map of tensor and file names/,
    ],
    [
      'NaN weights',
      (folder) => changeBytes(join(folder, WEIGHTS), (bytes) => bytes.writeUInt32LE(0x7fc00000, bytes.length - 400)),
      /holds a number that is not finite/,
    ],
    ['a catastrophic pre-tokenizer', withTokenizer({ pre_tokenizer: splitBy('(a+)+$') }), /takes more than 250 ms/],
    [
      'such a normaliser, deep inside',
      withTokenizer({
        normalizer: {
          type: 'Sequence',
          normalizers: [{ type: 'Replace', pattern: { Regex: '(?:ab|ab)*c' }, content: '' }],
        },
      }),
      /takes more than 250 ms/,
    ],
    [
      'such a decoder',
      withTokenizer({ decoder: { type: 'Replace', pattern: { Regex: '(\\s|\\p{Z})*x' }, content: ' ' } }),
      /takes more than 250 ms/,
    ],
    ['time of a high power', withTokenizer({ pre_tokenizer: splitBy('a*a*a*a*a*a*$') }), /takes more than 250 ms/],
    ['a pattern that is none', withTokenizer({ pre_tokenizer: splitBy('(x') }), /cannot be used: Invalid regular/],
  ])('%s', async (_, damage, reason) => {
    const folder = await temporaryFolder('hostile');
    await cp(checkpoint, folder, { recursive: true });
    await damage(folder);
    const before = { cpu: process.cpuUsage(), memory: process.resourceUsage().maxRSS };
    const preparing = prepareBundle({
      checkpoint: folder,
      exits: [1],
      cut: 2,
      formats: ['f32'],
      out: join(folder, 'out'),
    });
    const error: unknown = await preparing.catch((cause: unknown) => cause);
    const { user, system } = process.cpuUsage(before.cpu);
    expect(error).toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(reason) });
    expect((user + system) / 1000).toBeLessThan(CPU_MS_MAX);
    expect((process.resourceUsage().maxRSS - before.memory) / 1024).toBeLessThan(MEMORY_MIB_MAX);
    await rm(folder, { recursive: true });
  });
});

describe('the patterns of published tokenizers pass', () => {
  it.each(TOKENIZER_NAMES)('%s', async (name) => {
    const file = new URL(`../fixtures/tokenizers/${name}/tokenizer.json`, import.meta.url);
    await checkTokenizer(JSON.parse(await readFile(file, 'utf8')), systemClock);
  });

  it('that of GPT-4o', async () => {
    const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
    const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
    const ends = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
    const word = (letters: string) => `[^\\r\\n\\p{L}\\p{N}]?${letters}${ends}`;
    const pattern = `${word(`${upper}*${lower}+`)}|${word(`${upper}+${lower}*`)}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
    await checkTokenizer({ pre_tokenizer: splitBy(pattern) }, systemClock);
  });
});
