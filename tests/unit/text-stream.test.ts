import { TextStream, type Tokenizer } from '@tandem/shared/tokenizer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

/** A token is a list of bytes, written as a number per list: what a byte-level BPE does at its worst. */
class ByteTokenizer implements Tokenizer {
  readonly #pieces: Uint8Array[] = [];
  readonly #replacement: 'per-character' | 'per-byte';

  /** Decoders differ in whether an incomplete character becomes one U+FFFD or one per byte. */
  constructor(replacement: 'per-character' | 'per-byte' = 'per-character') {
    this.#replacement = replacement;
  }

  token(bytes: Uint8Array): number {
    return this.#pieces.push(bytes) - 1;
  }

  /** One token per run of `sizes` bytes, the sizes repeated. */
  cut(bytes: Uint8Array, sizes: readonly number[]): number[] {
    const tokens: number[] = [];
    for (let start = 0; start < bytes.length; ) {
      const size = sizes[tokens.length % sizes.length]!;
      tokens.push(this.token(bytes.subarray(start, start + size)));
      start += size;
    }
    return tokens;
  }

  encode(text: string): number[] {
    return this.cut(new TextEncoder().encode(text), [1]);
  }

  decode(tokens: readonly number[]): string {
    const bytes = Buffer.concat(tokens.map((token) => this.#pieces[token]!));
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    if (this.#replacement === 'per-character' || !text.endsWith('\uFFFD')) return text;
    const whole = text.slice(0, -1);
    return whole + '\uFFFD'.repeat(Math.max(1, bytes.length - Buffer.byteLength(whole)));
  }
}

function stream(tokenizer: Tokenizer, tokens: readonly number[], stops: readonly string[] = []) {
  const text = new TextStream(tokenizer, [], stops);
  const pieces = tokens.map((token) => text.push(token));
  return { pieces, text: pieces.join('') + text.finish(), stopped: text.stopped };
}

const encode = (text: string) => new TextEncoder().encode(text);

describe('characters', () => {
  test('come out whole, with the token that completes them', () => {
    const tokenizer = new ByteTokenizer();
    const { pieces } = stream(tokenizer, tokenizer.encode('aé€😀.'));
    expect(pieces).toEqual(['a', '', 'é', '', '', '€', '', '', '', '😀', '.']);
  });

  test('before an incomplete one do not wait for it', () => {
    const tokenizer = new ByteTokenizer();
    const bytes = encode('ab€');
    const { pieces } = stream(tokenizer, [tokenizer.token(bytes.subarray(0, 4)), tokenizer.token(bytes.subarray(4))]);
    expect(pieces).toEqual(['ab', '€']);
  });

  test.each(['per-character', 'per-byte'] as const)('any text, however it is cut, comes out as it is: %s', (kind) => {
    const text = fc.array(fc.constantFrom('a', ' ', 'é', '€', '漢', '字', '😀', '👍🏽'), {
      maxLength: 40,
      size: 'max',
    });
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });
    const property = fc.property(text, sizes, (characters, cut) => {
      const tokenizer = new ByteTokenizer(kind);
      const whole = characters.join('');
      const result = stream(tokenizer, tokenizer.cut(encode(whole), cut));
      expect(result.text).toBe(whole);
      expect(result.pieces.every((piece) => !piece.includes('\uFFFD'))).toBe(true);
    });
    fc.assert(property, { numRuns: 1_500, seed: 9 });
  });

  test('that are no UTF-8 come out as U+FFFD, in the end', () => {
    const tokenizer = new ByteTokenizer();
    const tokens = [0x61, 0xff, 0xff, 0x62, 0xe2, 0x82].map((byte) => tokenizer.token(Uint8Array.of(byte)));
    expect(stream(tokenizer, tokens).text).toBe('a\uFFFD\uFFFDb\uFFFD');
  });

  test('that are no UTF-8 do not hold back the stream for ever', () => {
    const tokenizer = new ByteTokenizer();
    const tokens = Array.from({ length: 60 }, () => tokenizer.token(Uint8Array.of(0xff)));
    const { pieces, text } = stream(tokenizer, tokens);
    expect(text).toBe('\uFFFD'.repeat(60));
    expect(pieces.slice(0, 30).join('').length).toBeGreaterThan(20);
  });
});

test('a decoder that drops the first space sees the tokens before', () => {
  const words = ['once', 'upon', 'a', 'time'];
  const tokenizer: Tokenizer = { encode: () => [], decode: (tokens) => tokens.map((token) => words[token]).join(' ') };
  const text = new TextStream(tokenizer, [0, 1], []);
  expect([text.push(2), text.push(3)]).toEqual([' a', ' time']);
});

/** Where the stop sequence begins that is complete first, by trying every prefix. */
function cutSlowly(text: string, stops: readonly string[]): string {
  for (let end = 0; end <= text.length; end++) {
    const starts = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => end - stop.length);
    if (starts.length > 0) return text.slice(0, Math.min(...starts));
  }
  return text;
}

describe('stop sequences', () => {
  test('are found across tokens and leave nothing of themselves', () => {
    const tokenizer = new ByteTokenizer();
    const result = stream(tokenizer, tokenizer.encode('one END two'), ['END']);
    expect(result).toMatchObject({ text: 'one ', stopped: true });
    expect(result.pieces.slice(7)).toEqual(['', '', '', '']);
  });

  test('hold back only what may be their beginning', () => {
    const tokenizer = new ByteTokenizer();
    const { pieces } = stream(tokenizer, tokenizer.encode('xEyENz'), ['END']);
    expect(pieces).toEqual(['x', '', 'Ey', '', '', 'ENz']);
  });

  test('that never came to an end are let out by finish', () => {
    const tokenizer = new ByteTokenizer();
    expect(stream(tokenizer, tokenizer.encode('the EN'), ['END'])).toMatchObject({ text: 'the EN', stopped: false });
  });

  test('cut at the one that is complete first, however the text is cut into tokens', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'é'), { maxLength: 30, size: 'max' });
    const stop = fc.array(fc.constantFrom('a', 'b', 'é'), { minLength: 1, maxLength: 4 }).map((list) => list.join(''));
    const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
    const property = fc.property(text, fc.array(stop, { maxLength: 3 }), sizes, (characters, stops, cut) => {
      const tokenizer = new ByteTokenizer();
      const whole = characters.join('');
      const expected = cutSlowly(whole, stops);
      const result = stream(tokenizer, tokenizer.cut(encode(whole), cut), stops);
      expect(result.text).toBe(expected);
      expect(result.stopped).toBe(stops.some((sequence) => whole.includes(sequence)));
    });
    fc.assert(property, { numRuns: 3_000, seed: 10 });
  });
});
