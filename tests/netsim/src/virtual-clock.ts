import type { Clock } from '@tandem/shared';
import { type Timer, TimerHeap } from './timer-heap.js';

export interface VirtualClockOptions {
  /**
   * What happens between two timers. `turn` (default): a turn of the event loop, so that real I/O gets one, too.
   * `promises`: promise callbacks only; right for worlds without any real I/O, and several times faster.
   */
  settle?: 'turn' | 'promises';
}

/** Time that moves only when a test moves it. Between two timers every due promise callback runs. */
export class VirtualClock implements Clock {
  readonly #settled: () => Promise<void>;
  #nowMs = 0;
  #scheduled = 0;
  readonly #timers = new TimerHeap();
  /** Cancelled timers stay in the heap until their time comes; taking one out of the middle would cost a search. */
  readonly #live = new Set<Timer>();
  readonly #outside = new Set<Promise<unknown>>();

  constructor({ settle = 'turn' }: VirtualClockOptions = {}) {
    this.#settled = settle === 'turn' ? turnPassed : promisesSettled;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#live.size;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#scheduled++, callback };
    this.#timers.push(timer);
    this.#live.add(timer);
    return () => {
      this.#live.delete(timer);
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.schedule(delayMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Time stands still until `work` has ended: for work outside the simulation, such as a native call. */
  during<Result>(work: Promise<Result>): Promise<Result> {
    this.#outside.add(work);
    const done = () => this.#outside.delete(work);
    work.then(done, done);
    return work;
  }

  /** Moves on by `durationMs` and fires what falls due, in order of time, then of scheduling. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await this.#fireUntil(endMs, Number.POSITIVE_INFINITY);
    this.#nowMs = endMs;
  }

  /** Jumps from timer to timer until none is left. Throws after `timersMax` (default 1,000,000): a timer loop never ends. */
  async runUntilIdle(timersMax = 1_000_000): Promise<void> {
    await this.#fireUntil(Number.POSITIVE_INFINITY, timersMax);
  }

  async #settle(): Promise<void> {
    await this.#settled();
    while (this.#outside.size > 0) {
      await Promise.allSettled(this.#outside);
      await this.#settled();
    }
  }

  async #fireUntil(endMs: number, timersMax: number): Promise<void> {
    await this.#settle();
    let fired = 0;
    for (let timer = this.#timers.peek(); timer && timer.atMs <= endMs; timer = this.#timers.peek()) {
      this.#timers.pop();
      if (!this.#live.delete(timer)) continue;
      if (++fired > timersMax) throw new Error(`the clock is not idle after ${timersMax} timers; use advance()`);
      this.#nowMs = timer.atMs;
      timer.callback();
      await this.#settle();
    }
  }
}

/** A macrotask comes only after the last promise callback; counting `await`s would be a guess. */
function turnPassed(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Node runs what `nextTick` was given inside a promise callback when no promise callback is left. */
async function promisesSettled(): Promise<void> {
  await undefined;
  await new Promise<void>((resolve) => process.nextTick(resolve));
}
