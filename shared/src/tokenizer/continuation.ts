import type { Tokenizer } from './tokenizer.js';

/** Context tokens before a continuation: enough for any tokenizer's view to the left. Fewer are tried after more. */
const TAIL_TOKENS = [8, 3, 1] as const;

/** Stand-ins for the end of a context that does not come back as the same tokens, such as half a word. */
const ANCHORS = ['\n', '.', 'a'] as const;

/** A decoder may write one replacement character for each byte of an incomplete one. */
const INCOMPLETE_CHARACTER = /\uFFFD$/;

/**
 * The text of a context, for a reader that knows text only. Undefined where it ends within a character: a text cannot be
 * handed on there.
 */
export function textOf(tokenizer: Tokenizer, context: readonly number[]): string | undefined {
  const text = tokenizer.decode(context);
  return INCOMPLETE_CHARACTER.test(text) ? undefined : text;
}

/**
 * Token ids of `text` behind `context`, whose own tokens stay as they are, although encoding all of it anew might join
 * the last of them with the first letters of the text. Undefined if this vocabulary cannot write the text.
 *
 * A tokenizer treats the start of a text in its own way (a space before it, a first token), so the text is encoded
 * behind something that is cut off again. What counts in the end is that the tokens decode to the text, letter by letter.
 */
export function encodeContinuation(
  tokenizer: Tokenizer,
  context: readonly number[],
  text: string,
): number[] | undefined {
  if (text === '') return [];
  const first = tokenizer.encode('');
  const tail = context.slice(-TAIL_TOKENS[0]);
  const before = tokenizer.decode(tail);
  const isRight = (tokens: readonly number[]) => tokenizer.decode([...tail, ...tokens]) === before + text;
  for (const [start, known] of startsOf(tokenizer, context, first)) {
    // Where the known tokens come back as others, what is left over does not decode to the text.
    const tokens = without(first, tokenizer.encode(start + text)).slice(known.length);
    if (isRight(tokens)) return tokens;
  }
  return undefined;
}

/** Texts to encode behind, each with its own tokens; the most faithful first. */
function* startsOf(
  tokenizer: Tokenizer,
  context: readonly number[],
  first: readonly number[],
): Generator<[string, number[]]> {
  for (const count of TAIL_TOKENS) {
    const tail = without(first, context.slice(-count));
    yield [tokenizer.decode(tail), tail];
  }
  yield ['', []];
  for (const anchor of ANCHORS) yield [anchor, without(first, tokenizer.encode(anchor))];
}

/** What the tokenizer puts before every text is no part of this one. */
function without(first: readonly number[], tokens: readonly number[]): number[] {
  return tokens.slice(isPrefix(first, tokens) ? first.length : 0);
}

function isPrefix(prefix: readonly number[], tokens: readonly number[]): boolean {
  return prefix.every((token, index) => tokens[index] === token);
}
