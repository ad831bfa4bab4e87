import type { TextStream } from '@tandem/shared/tokenizer';
import type { LedgerEntry } from '../ledger/ledger-entry.js';
import type { GeneratedToken, TextPart } from './generation.js';

export interface OutputOptions {
  promptLength: number;
  /** Tokens before this position were told by an earlier run of the same generation. */
  toldLength: number;
  stream: TextStream;
  /** Token ids behind the settled ones that the caller wants to see. */
  drafts(): number[];
  emit(part: TextPart): void;
}

/** Collects tokens and the text that they make. What was told before comes out again, in one part. */
export class Output {
  readonly #options: OutputOptions;
  readonly tokens: GeneratedToken[] = [];
  text = '';
  /** Position behind the last token. */
  end: number;
  #ended = false;
  #told: GeneratedToken[] = [];
  #toldText = '';

  constructor(options: OutputOptions) {
    this.#options = options;
    this.end = options.promptLength;
  }

  get isStopped(): boolean {
    return this.#ended || this.#options.stream.stopped;
  }

  push(entry: LedgerEntry, isEnd: boolean): void {
    const { token: id, origin, logprobs } = entry;
    const token = { id, position: this.end++, origin, ...(logprobs ? { logprobs } : {}) };
    this.tokens.push(token);
    this.#ended = isEnd;
    const text = isEnd ? '' : this.#options.stream.push(entry.token);
    if (this.end > this.#options.toldLength) return this.#hand(text, [token]);
    this.#told.push(token);
    this.#toldText += text;
    if (this.end === this.#options.toldLength || this.isStopped) this.#hand(this.#toldText, this.#told);
  }

  drafted(): void {
    this.#hand('', []);
  }

  finish(): void {
    const rest = this.#options.stream.finish();
    if (rest) this.#hand(rest, []);
  }

  #hand(text: string, tokens: GeneratedToken[]): void {
    const { stream, drafts, emit } = this.#options;
    this.text += text;
    emit({ text, tokens, provisional: this.isStopped ? '' : stream.preview(drafts()) });
  }
}
