import { readFileSync } from 'node:fs';
import { encodeContinuation, loadTokenizer, type Tokenizer, textOf } from '@tandem/shared/tokenizer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TALES } from '../support/tales.js';

/** Byte-level BPE, as in GPT-2, Llama 3, Qwen and the embedded model: a space is part of the word behind it. */
const byteLevel = loadTokenizer(readFileSync(`${TALES}/tokenizer.json`), null);
/** As in Llama 2: a space before every text, which the decoder takes away again, single bytes for what is unknown. */
const withPrefix = loadTokenizer(new TextEncoder().encode(JSON.stringify(prefixTokenizer())), 1);

function prefixTokenizer(): object {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const merges = ['▁ a', 'a b', '▁a b', 'b c', '▁ c', 'd ▁', 'a b▁'];
  const pieces = ['▁', 'a', 'b', 'c', 'd', 'b▁', ...merges.map((merge) => merge.replace(' ', ''))];
  const vocab = Object.fromEntries(
    ['<unk>', '<s>', '</s>', ...bytes, ...new Set(pieces)].map((piece, id) => [piece, id]),
  );
  return {
    version: '1.0',
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: { type: 'BPE', vocab, merges, unk_token: '<unk>', byte_fallback: true, fuse_unk: true },
  };
}

function continued(tokenizer: Tokenizer, before: string, text: string): string | undefined {
  const context = tokenizer.encode(before);
  const tokens = encodeContinuation(tokenizer, context, text);
  return tokens && tokenizer.decode([...context, ...tokens]);
}

describe.each([
  ['byte-level', byteLevel],
  ['with a space before every text', withPrefix],
])('continuation, tokenizer %s', (_, tokenizer) => {
  it.each([
    ['a word', 'ab cd', ' ab'],
    ['the rest of a word that would become one token with its beginning', 'c a', 'bc'],
    ['a space alone', 'ab', ' '],
    ['several spaces', 'ab', '   c'],
    ['a line', 'ab.', '\n\nab'],
    ['behind a space', 'ab ', 'ab'],
    ['behind nothing but a space', ' ', 'ab'],
    ['characters of several bytes', 'ab', ' naïve 🐸 日本語'],
    ['an accent that belongs to the letter before', 'abe', '\u0301c'],
    ['nothing', 'ab', ''],
  ])('%s', (_name, before, text) => {
    expect(continued(tokenizer, before, text)).toBe(before + text);
  });

  it('any text behind any text comes back letter by letter', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', ' ', '\n', '.', 'é', '🐸'), maxLength: 12 });
    fc.assert(
      fc.property(piece, piece, (before, text) => {
        fc.pre(before !== '');
        expect(continued(tokenizer, before, text)).toBe(tokenizer.decode(tokenizer.encode(before)) + text);
      }),
      { numRuns: 400, seed: 9 },
    );
  });

  it('a special token that is spelled out is no text', () => {
    const name = tokenizer === byteLevel ? '<|endoftext|>' : '</s>';
    expect(encodeContinuation(tokenizer, tokenizer.encode('ab'), ` ${name}`)).toBeUndefined();
  });
});

it('encodes as the whole text would be encoded, where that leaves the context as it is', () => {
  const text = 'Once upon a time, there was a little girl. She said, "I\'m hungry!"';
  const whole = byteLevel.encode(text);
  for (let length = 1; length < whole.length; length++) {
    const context = whole.slice(0, length);
    const rest = text.slice(byteLevel.decode(context).length);
    expect(encodeContinuation(byteLevel, context, rest)).toEqual(whole.slice(length));
  }
});

it('a context that ends within a character is no text yet', () => {
  const frog = byteLevel.encode('a 🐸');
  expect(textOf(byteLevel, frog)).toBe('a 🐸');
  expect(textOf(byteLevel, frog.slice(0, -1))).toBeUndefined();
});
