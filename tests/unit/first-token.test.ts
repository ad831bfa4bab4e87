import { readFileSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCheckpoint } from '@tandem/model-kit';
import { describe, expect, it } from 'vitest';
import { removeFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));

async function bosOf(family: string, config: object | undefined): Promise<number | null> {
  const json = JSON.parse(readFileSync(join(FIXTURES, family, 'tokenizer.json'), 'utf8'));
  const names = ['<s>', '<|begin_of_text|>', '<|endoftext|>'];
  const { id } = json.added_tokens.find(({ content }: { content: string }) => names.includes(content));
  const folder = await writeRandomCheckpoint({ shape: { layers: 2 }, config: { bos_token_id: id } });
  await copyFile(join(FIXTURES, family, 'tokenizer.json'), join(folder, 'tokenizer.json'));
  if (config) await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  const checkpoint = await readCheckpoint(folder);
  await checkpoint.close();
  await removeFolder(folder);
  return checkpoint.bosTokenId === null ? null : checkpoint.bosTokenId - id;
}

describe('the first token of a text', () => {
  it.each<[string, object | undefined, number | null]>([
    ['llama2', {}, 0],
    ['llama3', {}, 0],
    ['gpt2', {}, null],
    ['qwen', {}, null],
    ['smollm2', { bos_token: '<|im_start|>' }, null],
    ['gpt2', { add_bos_token: true }, 0],
    ['llama2', { add_bos_token: false }, null],
    ['gpt2', undefined, 0],
  ])('of a tokenizer like %s with %j is the config’s or none', async (family, config, expected) => {
    expect(await bosOf(family, config)).toBe(expected);
  });
});
