import type { Choice, Clock } from '@tandem/shared';
import type { Metrics } from '../metrics/metrics.js';
import type { Declaration, Forward } from './forward.js';

/** What one session adds to the server's figures. Sees sizes and counts only. */
export class SessionTally {
  readonly #codec: string;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  #firstForwardAtMs: number | undefined;
  #hasVerdict = false;

  constructor({ context, codec }: Declaration, clock: Clock, metrics: Metrics) {
    this.#codec = context === 'tokens' ? 'tokens' : codec;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  received(payloadBytes: number, asTokens = false): void {
    this.#firstForwardAtMs ??= this.#clock.now();
    this.#metrics.count('tandem_received_bytes_total', payloadBytes, asTokens ? 'tokens' : this.#codec);
  }

  judged(forward: Forward, { choices, mismatch }: { choices: readonly Choice[]; mismatch: boolean }): void {
    if (!this.#hasVerdict && this.#firstForwardAtMs !== undefined) {
      this.#hasVerdict = true;
      this.#metrics.observe('tandem_first_verdict_seconds', (this.#clock.now() - this.#firstForwardAtMs) / 1_000);
    }
    const corrected = Number(mismatch);
    const confirmed = Math.min(choices.length, forward.drafts.length) - corrected;
    const undrafted = choices.length - confirmed - corrected;
    this.#count('confirmed', confirmed);
    this.#count('corrected', corrected);
    this.#count(forward.origin === 'extension' ? 'extended' : 'asked', undrafted);
  }

  /** A larger model wrote these, in place of the small one's own. */
  passage(tokens: number): void {
    this.#count('passage', tokens);
  }

  #count(origin: string, tokens: number): void {
    if (tokens > 0) this.#metrics.count('tandem_tokens_total', tokens, origin);
  }
}
