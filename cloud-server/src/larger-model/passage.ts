import { type Clock, limits } from '@tandem/shared';
import { encodeContinuation, type Tokenizer } from '@tandem/shared/tokenizer';
import { CompletionFailure, type CompletionFailureReason, type CompletionText } from './completion-client.js';

export interface PassageOptions {
  /** What the larger model writes, as it comes. Ends by the signal, at the latest. */
  write(signal: AbortSignal): AsyncIterable<CompletionText>;
  tokenizer: Tokenizer;
  /** Tokens that the passage follows. */
  context: readonly number[];
  /** Put behind a text that the larger model ended; undefined where the vocabulary has none. */
  eosTokenId: number | undefined;
  tokensMax: number;
  /** Longest wait for the next tokens. */
  timeoutMs: number;
  clock: Clock;
  /** Called once, when the larger model has no more to do with it. */
  onEnd(outcome: PassageOutcome): void;
}

/** `closed`: nobody waited for its first word. */
export type PassageOutcome =
  | { kind: 'finished' }
  | { kind: 'closed' }
  | { kind: 'failed'; reason: PassageFailureReason; status: number | undefined };

/** `slow`: nothing within the deadline. `unwritable`: text that the small model's vocabulary cannot express. */
export type PassageFailureReason = CompletionFailureReason | 'slow' | 'unwritable';

/** Tokens that a continuation is encoded behind; see `encodeContinuation`. */
const CONTEXT_TOKENS = 16;

/**
 * A passage that the larger model writes: its text in one end, tokens of the small model out of the other. It writes on
 * while nobody takes; what is there by then is taken at once.
 */
export class Passage {
  readonly #options: PassageOptions;
  readonly #stopping = new AbortController();
  readonly #context: number[];
  #outcome: PassageOutcome | undefined;
  /** Whether the larger model itself ended the text. */
  #isEndOfText = false;
  #text = '';
  #ready: number[] = [];
  #written = 0;
  #whenChanged: (() => void)[] = [];

  constructor(options: PassageOptions) {
    this.#options = options;
    this.#context = options.context.slice(-CONTEXT_TOKENS);
    void this.#read();
  }

  /** Whether nothing more can be taken. */
  get isOver(): boolean {
    return this.#outcome !== undefined && this.#ready.length === 0 && this.#text === '' && !this.#isEndOfText;
  }

  /**
   * The next `count` tokens as soon as so many are there; fewer when it is over or the deadline has passed. None:
   * nothing more comes. An aborted signal ends the wait, not the passage.
   */
  async take(count: number, signal: AbortSignal): Promise<number[]> {
    let isLate = false;
    const cancelTimer = this.#options.clock.schedule(this.#options.timeoutMs, () => {
      isLate = true;
      this.#changed();
    });
    const onAbort = () => this.#changed();
    signal.addEventListener('abort', onAbort, { once: true });
    while (!signal.aborted) {
      this.#encode(isLate || this.#outcome !== undefined);
      if (this.#ready.length >= count || this.#outcome || isLate) break;
      await new Promise<void>((resolve) => this.#whenChanged.push(resolve));
    }
    signal.removeEventListener('abort', onAbort);
    cancelTimer();
    if (signal.aborted) return [];
    if (this.#ready.length === 0) this.#end({ kind: 'failed', reason: 'slow', status: undefined });
    return this.#ready.splice(0, count);
  }

  /** Stops the larger model and drops what was not taken. */
  close(): void {
    this.#end({ kind: this.#written > 0 ? 'finished' : 'closed' });
    this.#text = '';
    this.#isEndOfText = false;
    this.#ready = [];
  }

  async #read(): Promise<void> {
    const { write, clock } = this.#options;
    const cancelTimer = clock.schedule(limits.PASSAGE_LIFETIME_MS, () => this.close());
    try {
      for await (const { text, finishReason } of write(this.#stopping.signal)) {
        this.#text += text;
        this.#isEndOfText ||= finishReason === 'stop';
        this.#changed();
      }
      this.#end({ kind: 'finished' });
    } catch (error) {
      const { reason, status } = error instanceof CompletionFailure ? error : new CompletionFailure('broken-off');
      this.#end({ kind: 'failed', reason, status });
    } finally {
      cancelTimer();
    }
  }

  /** Whole words only, lest a word be spelled in pieces; all of it once no more can come. */
  #encode(isLast: boolean): void {
    const words = this.#text.slice(0, isLast ? this.#text.length : wholeWordsLength(this.#text));
    this.#text = this.#text.slice(words.length);
    const { tokenizer, eosTokenId } = this.#options;
    const tokens = encodeContinuation(tokenizer, this.#context, words);
    if (!tokens) return this.#giveUp();
    this.#add(tokens);
    if (!this.#isEndOfText || this.#outcome?.kind !== 'finished') return;
    this.#isEndOfText = false;
    if (eosTokenId !== undefined) this.#add([eosTokenId]);
  }

  #giveUp(): void {
    this.#text = '';
    this.#isEndOfText = false;
    this.#end({ kind: 'failed', reason: 'unwritable', status: undefined });
  }

  #add(tokens: readonly number[]): void {
    const fitting = tokens.slice(0, this.#options.tokensMax - this.#written);
    this.#written += fitting.length;
    this.#context.push(...fitting);
    this.#ready.push(...fitting);
    if (this.#written < this.#options.tokensMax) return;
    this.#text = '';
    this.#isEndOfText = false;
    this.#end({ kind: 'finished' });
  }

  #end(outcome: PassageOutcome): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    this.#stopping.abort();
    this.#options.onEnd(outcome);
    this.#changed();
  }

  #changed(): void {
    for (const resolve of this.#whenChanged.splice(0)) resolve();
  }
}

/** Characters before the last space: what follows may be half a word. A very long word is not waited for. */
export function wholeWordsLength(text: string): number {
  const lastWord = /\s+\S*$/.exec(text);
  if (lastWord && lastWord.index > 0) return lastWord.index;
  if (text.length <= limits.PASSAGE_WORD_CHARS_MAX) return 0;
  // Never half of a character that takes two units.
  return /[\uD800-\uDBFF]$/.test(text) ? text.length - 1 : text.length;
}
