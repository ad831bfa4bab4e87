import {
  type CompletionEndpoint,
  CompletionFailure,
  type CompletionOrder,
  type CompletionText,
} from '@tandem/cloud/testing';
import type { Clock } from '@tandem/shared';
import { EOS } from './hash-chain.js';
import { TOKENIZER } from './hash-manifest.js';
import { largerState, largerToken } from './larger-text.js';
import type { ServerPlan } from './scenario.js';

/** How a completion goes wrong: at once, in mid-word, by saying nothing more, or too late. */
export type LargerModelMishap = 'unreachable' | 'broken-off' | 'hangs' | 'late';

/** Longer than anybody waits. */
const HANGS_MS = 3_600_000;
const PIECE_CHARACTERS = 3;

/** The endpoint of the larger model, in virtual time. Its text follows from the prompt, and from nothing else. */
export class SimLargerModel {
  readonly #plan: ServerPlan;
  readonly #clock: Clock;
  /** Of the next completions. */
  readonly #mishaps: LargerModelMishap[] = [];

  constructor(plan: ServerPlan, clock: Clock) {
    this.#plan = plan;
    this.#clock = clock;
  }

  fail(how: LargerModelMishap, completions: number): void {
    for (let i = 0; i < completions; i++) this.#mishaps.push(how);
  }

  readonly stream = (_: CompletionEndpoint, order: CompletionOrder, signal: AbortSignal) => this.#stream(order, signal);

  async *#stream({ prompt, maxTokens }: CompletionOrder, signal: AbortSignal): AsyncGenerator<CompletionText> {
    const { timeoutMs = 0, pieceMs = 0 } = this.#plan.largerModel ?? {};
    const mishap = this.#mishaps.shift();
    await this.#clock.sleep(pieceMs + (mishap === 'late' ? timeoutMs : 0), signal);
    if (mishap === 'unreachable') throw new CompletionFailure('unreachable');
    const { text, isEnd } = this.#write(prompt, maxTokens);
    const sent = mishap === 'broken-off' || mishap === 'hangs' ? text.length / 2 : text.length;
    for (let from = 0; from < sent; from += PIECE_CHARACTERS) {
      yield { text: text.slice(from, Math.min(from + PIECE_CHARACTERS, sent)), finishReason: undefined };
      await this.#clock.sleep(pieceMs, signal);
    }
    if (mishap === 'broken-off') throw new CompletionFailure('broken-off');
    if (mishap === 'hangs') await this.#clock.sleep(HANGS_MS, signal);
    yield { text: '', finishReason: isEnd ? 'stop' : 'length' };
  }

  #write(prompt: string, tokensMax: number): { text: string; isEnd: boolean } {
    const tokens: number[] = [];
    let state = largerState(TOKENIZER.encode(prompt));
    while (tokens.length < tokensMax) {
      const token = largerToken(state, this.#plan.hasEos);
      if (token === EOS) return { text: TOKENIZER.decode(tokens), isEnd: true };
      tokens.push(token);
      state = largerState([token], state);
    }
    return { text: TOKENIZER.decode(tokens), isEnd: false };
  }
}
