import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Manifest, TandemError } from '@tandem/shared';
import { loadTokenizer } from '@tandem/shared/tokenizer';
import type { ToldText } from './told-text.js';

/** Longer texts are cut: most of a story, and no more than a session of it would have in view. */
const TEXT_TOKENS_MAX = 256;

/** What stands between two texts of a file, where nothing else is said. */
export const TEXT_SEPARATOR = '<|endoftext|>';

/**
 * The texts of a file as token ids of the bundle in `directory`.
 *
 * @throws TandemError INVALID_OPTION when the file cannot be read
 */
export async function readTextFile(file: string, directory: string, separator: string): Promise<number[][]> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new TandemError('INVALID_OPTION', `--text ${file} cannot be read; name a text file`, { cause });
  });
  const tokenizer = loadTokenizer(await readFile(join(directory, 'tokenizer.json')), null);
  return content
    .split(separator)
    .map((part) => tokenizer.encode(part.trim()))
    .filter((tokens) => tokens.length > 1);
}

/** Pieces that are read from their beginning, and judged from the token on that begins a text. */
export function cutText(text: readonly number[], { bosTokenId, contextLength }: Manifest): ToldText[] {
  const begin = bosTokenId === null ? [] : [bosTokenId];
  const own = text[0] === bosTokenId ? text.slice(1) : text;
  const size = Math.min(TEXT_TOKENS_MAX, contextLength - begin.length);
  return Array.from({ length: Math.ceil(own.length / size) }, (_, piece) => ({
    tokens: [...begin, ...own.slice(piece * size, (piece + 1) * size)],
    first: 0,
  }));
}
