import type { Tokenizer } from './tokenizer.js';

/**
 * An incomplete UTF-8 character has three bytes at most, and decoders write one replacement character for it or one
 * per byte. Only so many at the end can still become something else.
 */
const INCOMPLETE_CHARACTER = /\uFFFD{1,3}$/;

/**
 * A window moves on after so many new tokens even where the last character is incomplete. It may then start in
 * mid-character: the damage stays in text that was handed out before.
 */
const WINDOW_TOKENS_MAX = 16;

/**
 * Turns settled tokens into text, piece by piece: never half a character, never part of a stop sequence.
 *
 * A decoder may look at neighbours (spaces between words, bytes of one character), so each piece is the difference
 * between decoding a short window with and without the new tokens, as text-generation-inference and vLLM do it.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #stopSequences: readonly string[];
  readonly #tokens: number[];
  /** Window start, and the end of what has become text. */
  #windowStart: number;
  #decodedEnd: number;
  /** Characters of the window's text that have become text already, those of `[windowStart, decodedEnd)` included. */
  #emittedChars: number;
  /** Text that may be the beginning of a stop sequence. */
  #held = '';
  #stopped = false;

  /** `context`: the last prompt tokens, so that the first piece gets its leading space right. */
  constructor(tokenizer: Tokenizer, context: readonly number[], stopSequences: readonly string[]) {
    this.#tokenizer = tokenizer;
    this.#tokens = [...context];
    this.#windowStart = 0;
    this.#decodedEnd = context.length;
    this.#emittedChars = tokenizer.decode(context).length;
    this.#stopSequences = stopSequences;
  }

  /** Whether a stop sequence was met. Nothing comes out from then on. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Text that has become certain with this token; may be empty. */
  push(token: number): string {
    this.#tokens.push(token);
    return this.#release(this.#decode(false), false);
  }

  /** What is still held back, once nothing more can come. */
  finish(): string {
    return this.#release(this.#decode(true), true);
  }

  /** What would come out next if these tokens followed. Changes nothing. */
  preview(drafts: readonly number[]): string {
    if (this.#stopped || drafts.length === 0) return '';
    const text = this.#tokenizer.decode([...this.#tokens.slice(this.#windowStart), ...drafts]);
    const ahead = this.#held + text.replace(INCOMPLETE_CHARACTER, '').slice(this.#emittedChars);
    return ahead.slice(0, firstStop(ahead, this.#stopSequences));
  }

  #decode(isLast: boolean): string {
    const text = this.#tokenizer.decode(this.#tokens.slice(this.#windowStart));
    const certain = isLast ? text : text.replace(INCOMPLETE_CHARACTER, '');
    const piece = certain.slice(this.#emittedChars);
    this.#emittedChars += piece.length;
    const isWhole = certain.length === text.length;
    if (isWhole || this.#tokens.length - this.#decodedEnd > WINDOW_TOKENS_MAX) this.#moveWindow();
    return piece;
  }

  /**
   * The next window starts where this one's new tokens did, if they have text: some decoders strip the space of a window's
   * first word, which must not be a new one.
   */
  #moveWindow(): void {
    const text = this.#tokenizer.decode(this.#tokens.slice(this.#decodedEnd));
    if (text === '') return;
    this.#windowStart = this.#decodedEnd;
    this.#decodedEnd = this.#tokens.length;
    this.#emittedChars = text.replace(INCOMPLETE_CHARACTER, '').length;
  }

  #release(piece: string, isLast: boolean): string {
    if (this.#stopped) return '';
    const text = this.#held + piece;
    const stop = firstStop(text, this.#stopSequences);
    if (stop !== undefined) {
      this.#stopped = true;
      this.#held = '';
      return text.slice(0, stop);
    }
    const keep = isLast ? 0 : longestStopPrefix(text, this.#stopSequences);
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }
}

/**
 * Where the stop sequence begins that is complete first; of two that end together, the longer one. The one that
 * begins first would depend on how the text is cut into tokens: it may not be complete yet when another one is.
 */
function firstStop(text: string, stops: readonly string[]): number | undefined {
  let start: number | undefined;
  let end = Infinity;
  for (const stop of stops) {
    const found = text.indexOf(stop);
    if (found < 0 || found + stop.length > end) continue;
    start = found + stop.length < end ? found : Math.min(found, start ?? found);
    end = found + stop.length;
  }
  return start;
}

/** Length of the longest end of `text` that begins a stop sequence. */
function longestStopPrefix(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
