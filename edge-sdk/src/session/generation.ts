import type { TokenLogprobs } from '@tandem/shared';
import type { Origin } from '../ledger/origin.js';

/** A piece of settled text with the tokens that became final with it. */
export interface TextPart {
  /** May be empty while a character or a possible stop sequence is incomplete. */
  text: string;
  tokens: GeneratedToken[];
  /**
   * With `emit: 'provisional'`, what the device expects to follow all settled text so far; the next part's replaces it.
   * Empty otherwise. Settled text is never revised.
   */
  provisional: string;
}

export interface GeneratedToken {
  id: number;
  /** Position in the context, the prompt's tokens counted. */
  position: number;
  origin: Origin;
  /** With `logprobs`, of whoever decided the token; a larger model, and tokens of a saved session, have none. */
  logprobs?: TokenLogprobs;
}

export interface GenerationResult {
  text: string;
  finishReason: 'stop' | 'length';
  tokens: GeneratedToken[];
  usage: { inputTokens: number; outputTokens: number; totalTokens: number };
  timings: GenerationTimings;
  transfer: GenerationTransfer;
}

export interface GenerationTimings {
  elapsedMs: number;
  timeToFirstTokenMs: number;
  /** In device stages. */
  deviceMs: number;
  /** In answered round trips, without the server's own time. */
  wireMs: number;
  /** In the server's engine, and waiting for it. */
  cloudMs: number;
  /** In which the loop had nothing to do but wait for the cloud. */
  waitedMs: number;
}

export interface GenerationTransfer {
  /** Forwards that an answer was needed for. */
  roundTrips: number;
  forwards: number;
  bytesUp: number;
  bytesDown: number;
}

/**
 * A running generation: iterate it for parts as they settle, or await it for the result; both work on one run.
 * Leaving the loop early aborts it.
 */
export class Generation implements AsyncIterable<TextPart>, PromiseLike<GenerationResult> {
  readonly #parts: TextPart[] = [];
  readonly #result: Promise<GenerationResult>;
  readonly #abort: () => void;
  #waiting: (() => void)[] = [];
  #done = false;

  /** `start` runs until the result is there and hands over parts on the way. */
  constructor(start: (emit: (part: TextPart) => void) => Promise<GenerationResult>, abort: () => void) {
    this.#abort = abort;
    this.#result = start((part) => {
      this.#parts.push(part);
      this.#wake();
    }).finally(() => {
      this.#done = true;
      this.#wake();
    });
    // Who only iterates sees the error there; without this line Node would call it unhandled.
    this.#result.catch(() => {});
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting a generation is its public interface
  then<Fulfilled = GenerationResult, Rejected = never>(
    onFulfilled?: ((result: GenerationResult) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#result.then(onFulfilled, onRejected);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TextPart, void, void> {
    try {
      for (let next = 0; ; ) {
        const part = this.#parts[next];
        if (part) {
          next++;
          yield part;
        } else if (this.#done) {
          await this.#result;
          return;
        } else {
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
        }
      }
    } finally {
      if (!this.#done) this.#abort();
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
