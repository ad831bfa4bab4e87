import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Tokenizer } from '@tandem/edge';
import { loadTokenizer } from '@tandem/edge/testing';

const FOLDER = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));

/** A small tokenizer of one family and what the reference library makes of it (tests/fixtures/make-tokenizers.py). */
export interface TokenizerFixture {
  tokenizer: Tokenizer;
  size: number;
  /** Characters that are no token are written as tokens of one byte each. */
  hasByteFallback: boolean;
  /** `ids` as the tokenizer begins and ends a text, `plain` without that. */
  encoded: { text: string; ids: number[]; plain: number[]; decoded: string }[];
  decoded: { ids: number[]; decoded: string }[];
}

export const TOKENIZER_NAMES = readdirSync(FOLDER).sort();

export function readTokenizerFixture(name: string): TokenizerFixture {
  const json = readFileSync(join(FOLDER, name, 'tokenizer.json'));
  const { model, added_tokens } = JSON.parse(json.toString());
  const ids = new Set<number>(added_tokens.map(({ id }: { id: number }) => id));
  const words: number = Array.isArray(model.vocab) ? model.vocab.length : Object.keys(model.vocab).length;
  const size = Math.max(words, ...[...ids].map((id) => id + 1));
  const vectors = JSON.parse(readFileSync(join(FOLDER, name, 'vectors.json'), 'utf8'));
  return { tokenizer: loadTokenizer(json, null), size, hasByteFallback: model.byte_fallback === true, ...vectors };
}
