import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { TandemError } from '../errors.js';
import { patternsIn } from './patterns.js';

/** Text to token ids and back. The only door to @huggingface/tokenizers. */
export interface Tokenizer {
  /** `addSpecialTokens: false`: for text that has its special tokens in it, as a chat template writes them. Default true. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** Special tokens are left out. Bytes that are no UTF-8 come out as U+FFFD. */
  decode(tokens: readonly number[]): string;
}

/** `json`: `tokenizer.json` as Hugging Face publishes it. @throws TandemError BUNDLE_CORRUPT */
export function loadTokenizer(json: Uint8Array, bosTokenId: number | null): Tokenizer {
  let inner: HuggingFaceTokenizer;
  try {
    inner = new HuggingFaceTokenizer(JSON.parse(new TextDecoder().decode(json), replaceDigits), {
      clean_up_tokenization_spaces: false,
    });
  } catch (cause) {
    throw new TandemError('BUNDLE_CORRUPT', 'tokenizer.json cannot be read; prepare the bundle again', { cause });
  }
  keepByteOrderMarks(inner.decoder);
  return {
    encode(text, { addSpecialTokens = true } = {}) {
      const { ids } = inner.encode(text, { add_special_tokens: addSpecialTokens });
      if (!addSpecialTokens) return ids;
      // Llama checkpoints differ in whether their post-processor adds the first token: make sure that it is there.
      return bosTokenId !== null && ids[0] !== bosTokenId ? [bosTokenId, ...ids] : ids;
    },
    decode(tokens) {
      // The library refuses to decode nothing.
      if (tokens.length === 0) return '';
      return inner.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    },
  };
}

/** The parts of a `tokenizer.json` that split and join text by patterns; no vocabulary. */
export interface TokenizerSplitting {
  normalizer?: unknown;
  pre_tokenizer?: unknown;
  decoder?: unknown;
}

/**
 * The regular expressions that a tokenizer with these parts would run.
 *
 * @throws Error where one of them is none, or a part is not known
 */
export function tokenizerPatterns(splitting: TokenizerSplitting): RegExp[] {
  const { normalizer = null, pre_tokenizer = null, decoder = null } = splitting;
  const empty = { type: 'WordLevel', vocab: { '?': 0 }, unk_token: '?' };
  const json = { added_tokens: [], normalizer, pre_tokenizer, post_processor: null, decoder, model: empty };
  const inner = new HuggingFaceTokenizer(JSON.parse(JSON.stringify(json), replaceDigits), {});
  return patternsIn([inner.normalizer, inner.pre_tokenizer, inner.decoder]);
}

/**
 * The library's `Digits` knows decimal digits only; the reference splits at every number, ½ and ① too. A `Split` says the same.
 * (A reviver of `JSON.parse`.)
 */
function replaceDigits(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value) || value.type !== 'Digits') return value;
  const pattern = { Regex: 'individual_digits' in value && value.individual_digits ? '\\p{N}' : '\\p{N}+' };
  return { type: 'Split', pattern, behavior: 'Isolated', invert: false };
}

/** The library's byte fallback would swallow a byte order mark at the start of every run of bytes. */
function keepByteOrderMarks(decoder: unknown): void {
  // A decoder of the library is a function with fields.
  if (typeof decoder !== 'function') return;
  if ('decoders' in decoder && Array.isArray(decoder.decoders)) decoder.decoders.forEach(keepByteOrderMarks);
  if ('text_decoder' in decoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}
