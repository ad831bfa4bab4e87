import type { Clock } from '@tandem/shared';

/**
 * The clock of one device. It can sleep, as a laptop does: meanwhile nothing of the device runs, and what became due
 * runs late, in order. It can jump: after a suspend some systems count the time away and some do not.
 */
export class NapClock implements Clock {
  readonly #inner: Clock;
  #jumpMs = 0;
  #wakesAtMs = 0;
  #isAsleep = false;
  readonly #held: (() => void)[] = [];

  constructor(inner: Clock) {
    this.#inner = inner;
  }

  now(): number {
    return this.#inner.now() + this.#jumpMs;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const cancel = this.#inner.schedule(delayMs, () =>
      this.run(() => {
        if (!isCancelled) callback();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancel = this.schedule(delayMs, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        reject(signal.reason);
      });
    });
  }

  /** Runs something that happens to the device from outside: at once, or in its turn when the device wakes up. */
  run(callback: () => void): void {
    if (this.#isAsleep || this.#held.length > 0) this.#held.push(callback);
    else callback();
  }

  nap(durationMs: number): void {
    this.#wakesAtMs = Math.max(this.#wakesAtMs, this.#inner.now() + durationMs);
    this.#isAsleep = true;
    this.#inner.schedule(durationMs, () => {
      if (this.#inner.now() < this.#wakesAtMs) return;
      this.#isAsleep = false;
      this.#catchUp();
    });
  }

  jump(ms: number): void {
    this.#jumpMs += ms;
  }

  /** Each in a turn of its own, as an event loop would. What comes meanwhile queues up behind. */
  #catchUp(): void {
    if (this.#isAsleep) return;
    const callback = this.#held[0];
    if (!callback) return;
    callback();
    this.#held.shift();
    if (this.#held.length > 0) this.#inner.schedule(0, () => this.#catchUp());
  }
}
