import type { Clock } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';

/** A forward whose answer is under way. */
export interface Outstanding {
  epoch: number;
  /** Infinite once the round trip was counted: further verdicts of an extension stream without one. */
  sentAtMs: number;
  /** Of its payload. */
  bytes: number;
  rows: number;
  /** Verdicts still to come after this one. */
  extend: number;
  /** Whether there were any; true until the last of them has come. */
  isExtended: boolean;
}

export interface ForwardsUnderWayOptions {
  clock: Clock;
  /** Grows with everything that the peer sends, of whatever kind. */
  heardBytes(): number;
  /** Asks the peer for a word. */
  ping(): void;
  /** A peer that owes an answer and says nothing is dead, whatever TCP thinks. */
  silent(): void;
}

/**
 * Forwards in the order in which their answers come, and the watch over a peer that owes one. What counts is silence, not
 * duration: a busy server has long queues but answers a ping at once, and a slow uplink needs its time for what was sent.
 */
export class ForwardsUnderWay {
  readonly #options: ForwardsUnderWayOptions;
  #forwards: Outstanding[] = [];
  #cancelWatch: (() => void) | undefined;

  constructor(options: ForwardsUnderWayOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#forwards.length;
  }

  /** Whether the server goes on alone and has everything that it needs for that. */
  get isExtended(): boolean {
    return this.#forwards.some(({ isExtended }) => isExtended);
  }

  /** One that leaves now. */
  add(forward: Pick<Outstanding, 'epoch' | 'bytes' | 'rows' | 'extend'>): void {
    this.#forwards.push({ ...forward, sentAtMs: this.#options.clock.now(), isExtended: forward.extend > 0 });
    this.watch();
  }

  /** Answers come in the order of the forwards. One that the server extends is answered token by token. */
  answered(epoch: number): Outstanding | undefined {
    // A new epoch ends what is under way: nobody answers an older one any more.
    this.#forwards = this.#forwards.filter((forward) => forward.epoch >= epoch);
    const first = this.#forwards[0];
    // The answer to a forward that was forgotten meanwhile.
    if (!first || first.epoch !== epoch) return undefined;
    const asked = { ...first };
    if (first.extend > 0) {
      first.extend--;
      first.sentAtMs = Number.POSITIVE_INFINITY;
    } else this.#forwards.shift();
    this.watch();
    return Number.isFinite(asked.sentAtMs) ? asked : undefined;
  }

  /** Nothing under way is of interest any more. */
  forget(): void {
    this.#forwards = [];
    this.watch();
  }

  /** From now on silence counts anew. */
  watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
    if (this.#forwards.length > 0) this.#listen(this.#options.clock.now());
  }

  /** A ping in the middle of the time that a peer may be silent. A pong is a word, too, but no answer. */
  #listen(sinceMs: number): void {
    const { clock, heardBytes, ping, silent } = this.#options;
    const heard = heardBytes();
    const uploadMs = this.#forwards.reduce((sum, { bytes }) => sum + bytes, 0) / limits.UP_BYTES_PER_MS_MIN;
    const halfMs = limits.SILENCE_TIMEOUT_MS / 2;
    const isAlive = () => heardBytes() !== heard && clock.now() - sinceMs < limits.ANSWER_TIMEOUT_MS;
    this.#cancelWatch = clock.schedule(uploadMs + halfMs, () => {
      if (isAlive()) return this.#listen(sinceMs);
      ping();
      this.#cancelWatch = clock.schedule(halfMs, () => {
        if (isAlive()) return this.#listen(sinceMs);
        silent();
      });
    });
  }
}
