import { LOGPROB_MIN, type TokenLogprobs } from '@tandem/shared';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import type { GeneratedToken } from '../session/generation.js';

/** Tokens before one that its text is decoded behind: enough for any decoder's view to the left. */
const CONTEXT_TOKENS = 4;

/** OpenAI's clients expect a number everywhere. What has no log probability counts as next to impossible. */
const UNKNOWN: TokenLogprobs = { logprob: LOGPROB_MIN, top: [] };

/** Log probabilities of one answer in OpenAI's words, which have texts where Tandem has ids. Of each token once, in order. */
export class LogprobsWriter {
  readonly #tokenizer: Tokenizer;
  readonly #encoder = new TextEncoder();
  #context: number[];
  #offset: number;

  constructor(tokenizer: Tokenizer, prompt: string) {
    this.#tokenizer = tokenizer;
    this.#context = tokenizer.encode(prompt).slice(-CONTEXT_TOKENS);
    this.#offset = prompt.length;
  }

  /** As in `/v1/completions`. */
  lists(tokens: readonly GeneratedToken[]): object {
    const written = tokens.map((token) => this.#next(token));
    return {
      tokens: written.map(({ text }) => text),
      token_logprobs: written.map(({ logprob }) => logprob),
      top_logprobs: written.map(({ top }) => Object.fromEntries(top.map((other) => [other.text, other.logprob]))),
      text_offset: written.map(({ offset }) => offset),
    };
  }

  /** As in `/v1/chat/completions`. */
  content(tokens: readonly GeneratedToken[]): object {
    const entry = ({ text, logprob }: WrittenToken) => ({ token: text, logprob, bytes: this.#bytesOf(text) });
    const content = tokens.map((token) => {
      const written = this.#next(token);
      return { ...entry(written), top_logprobs: written.top.map(entry) };
    });
    return { content, refusal: null };
  }

  #next({ id, logprobs = UNKNOWN }: GeneratedToken): WrittenToken & { offset: number; top: WrittenToken[] } {
    const offset = this.#offset;
    const top = logprobs.top.map((other) => ({ text: this.#textOf(other.token), logprob: other.logprob }));
    const text = this.#textOf(id);
    this.#offset += text.length;
    this.#context = [...this.#context, id].slice(-CONTEXT_TOKENS);
    return { text, logprob: logprobs.logprob, offset, top };
  }

  /** Half a character is written as a replacement character. */
  #textOf(id: number): string {
    const before = this.#tokenizer.decode(this.#context);
    const after = this.#tokenizer.decode([...this.#context, id]);
    return after.startsWith(before) ? after.slice(before.length) : this.#tokenizer.decode([id]);
  }

  #bytesOf(text: string): number[] | null {
    return text.includes('\uFFFD') ? null : [...this.#encoder.encode(text)];
  }
}

interface WrittenToken {
  text: string;
  logprob: number;
}
