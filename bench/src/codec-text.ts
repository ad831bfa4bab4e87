import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { EdgeModel } from '@tandem/edge';
import { generateUnsplit } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';

/** Validation text that the embedded model never saw; outside the repository, so it can be missing. */
const VALIDATION = fileURLToPath(
  new URL('../../../shared/data/corpus/tinystories/v1-valid-first-half.txt', import.meta.url),
);
const OPENINGS = fileURLToPath(new URL('../../models/tales/openings.txt', import.meta.url));
/** More than any tokenizer needs for a token of English. */
const CHARACTERS_PER_TOKEN = 6;
const OWN_STORY_TOKENS = 120;

export interface BenchText {
  /** Without the token that begins a text. */
  tokens: number[];
  origin: 'validation' | 'told-by-the-model';
}

/** Up to `tokenCount` tokens to score: validation text, or where it is missing what the model tells by itself. */
export async function readBenchText(bundle: string, tokenCount: number, ownTokenCount: number): Promise<BenchText> {
  const model = await EdgeModel.load(bundle, { format: 'f32' });
  try {
    const encode = (text: string) => model.tokenizer.encode(text).filter((id) => id !== model.manifest.bosTokenId);
    const text = await readFile(VALIDATION, 'utf8').catch(() => undefined);
    if (text !== undefined) {
      const tokens = encode(text.slice(0, tokenCount * CHARACTERS_PER_TOKEN)).slice(0, tokenCount);
      return { tokens, origin: 'validation' };
    }
    const openings = (await readFile(OPENINGS, 'utf8')).trim().split('\n').map(encode);
    const eosTokenIds = model.manifest.eosTokenIds;
    return { tokens: await tellStories(bundle, openings, eosTokenIds, ownTokenCount), origin: 'told-by-the-model' };
  } finally {
    await model.dispose();
  }
}

async function tellStories(
  bundle: string,
  openings: readonly (readonly number[])[],
  eosTokenIds: readonly number[],
  tokenCount: number,
): Promise<number[]> {
  const engine = await loadChainEngine({ directory: bundle, format: 'f32', threads: undefined, preload: 'all' });
  const tokens: number[] = [];
  for (const [index, prompt] of openings.entries()) {
    if (tokens.length >= tokenCount) break;
    const sampling = { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: index };
    const story = await generateUnsplit(engine, {
      prompt,
      maxOutputTokens: OWN_STORY_TOKENS,
      sampling,
      codec: 'f32',
      eosTokenIds,
    });
    tokens.push(...prompt, ...story);
  }
  await engine.dispose();
  return tokens.slice(0, tokenCount);
}
