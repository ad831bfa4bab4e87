import type { Clock } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';

/** How often a full queue is looked at: transports do not say when they have room again. */
const LOOK_INTERVAL_MS = 50;

export interface SendQueueOptions {
  clock: Clock;
  /** That wait in the transport. */
  queuedBytes(): number;
  /** There is room again. */
  drained(): void;
  /** Nothing has left for as long as a peer may be silent. */
  stuck(): void;
}

/**
 * Bounds what waits in the transport. The credit bounds forwards of one epoch, but who aborts and asks again, over and
 * over, starts new ones on a link that takes nothing.
 */
export class SendQueue {
  readonly #options: SendQueueOptions;
  #cancelLook: (() => void) | undefined;

  constructor(options: SendQueueOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#options.queuedBytes() > limits.SEND_QUEUE_BYTES_MAX;
  }

  /** Says so when a full queue has drained. */
  watch(): void {
    if (this.#cancelLook || !this.isFull) return;
    const { clock, queuedBytes } = this.#options;
    this.#look(queuedBytes(), clock.now());
  }

  stop(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #look(bytes: number, sinceMs: number): void {
    const { clock, queuedBytes, drained, stuck } = this.#options;
    this.#cancelLook = clock.schedule(LOOK_INTERVAL_MS, () => {
      this.#cancelLook = undefined;
      if (!this.isFull) return drained();
      if (queuedBytes() < bytes) return this.#look(queuedBytes(), clock.now());
      if (clock.now() - sinceMs >= limits.SILENCE_TIMEOUT_MS) return stuck();
      this.#look(bytes, sinceMs);
    });
  }
}
