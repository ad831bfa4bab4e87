import { seededRandom } from '@tandem/shared';
import { TextStream, type Tokenizer } from '@tandem/shared/tokenizer';
import { describe, expect, it } from 'vitest';
import { readTokenizerFixture, TOKENIZER_NAMES } from '../support/tokenizer-fixture.js';

describe.each(TOKENIZER_NAMES)('tokenizer of %s', (name) => {
  const { tokenizer, encoded, decoded, size, hasByteFallback } = readTokenizerFixture(name);

  it.each(encoded.map((entry) => [JSON.stringify(entry.text), entry] as const))('encodes %s', (_, entry) => {
    expect(tokenizer.encode(entry.text)).toEqual(entry.ids);
    expect(tokenizer.encode(entry.text, { addSpecialTokens: false })).toEqual(entry.plain);
    expect(tokenizer.decode(entry.ids)).toBe(entry.decoded);
  });

  it('decodes random tokens', () => {
    // Where bytes are no UTF-8, the reference replaces all bytes up to the next word; we, those that are wrong.
    const comparable = hasByteFallback ? decoded.filter((entry) => !entry.decoded.includes('\uFFFD')) : decoded;
    expect(comparable.length).toBeGreaterThan(0);
    for (const entry of comparable) expect(tokenizer.decode(entry.ids)).toBe(entry.decoded);
  });

  it('piece by piece gives the same text as all at once', () => {
    const random = seededRandom(TOKENIZER_NAMES.indexOf(name));
    const below = (limit: number) => Math.floor(random.next() * limit);
    const failures: string[] = [];
    for (let sequence = 0; sequence < SEQUENCES; sequence++) {
      const tokens = Array.from({ length: 1 + below(24) }, () => below(size));
      const context = wholeCharacters(tokenizer, tokens, below(5));
      const stream = new TextStream(tokenizer, tokens.slice(0, context), []);
      const pieces = tokens.slice(context).map((token) => stream.push(token));
      const text = pieces.join('') + stream.finish();
      const whole = tokenizer.decode(tokens);
      const before = tokenizer.decode(tokens.slice(0, context));
      if (before + text !== whole) failures.push(JSON.stringify({ tokens, context, before, text, whole }));
    }
    expect(failures.slice(0, 3)).toEqual([]);
  });
});

const SEQUENCES = 10_000;

/** At most `limit` tokens that do not end within a character: a prompt never does. */
function wholeCharacters(tokenizer: Tokenizer, tokens: readonly number[], limit: number): number {
  let count = Math.min(tokens.length, limit);
  while (count > 0 && tokenizer.decode(tokens.slice(0, count)).endsWith('\uFFFD')) count--;
  return count;
}
