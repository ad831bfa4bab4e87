import type { Clock } from '@tandem/shared';
import type { LinkModel, Passage } from './link-model.js';

interface Entry<T> {
  readonly item: T;
  readonly bytes: number;
  readonly passage: Passage;
}

/** What is under way on one connection in one direction, in order. Owns at most one timer. */
export class DelayLine<T> {
  readonly #clock: Clock;
  readonly #model: LinkModel;
  readonly #deliver: (item: T) => void;
  readonly #entries: Entry<T>[] = [];
  #cancelTimer: (() => void) | undefined;
  #held = false;
  /** Bytes under way: waiting to leave, or in flight. */
  bytes = 0;

  constructor(clock: Clock, model: LinkModel, deliver: (item: T) => void) {
    this.#clock = clock;
    this.#model = model;
    this.#deliver = deliver;
  }

  push(item: T, bytes: number, passage: Passage): void {
    this.#entries.push({ item, bytes, passage });
    this.bytes += bytes;
    if (this.#entries.length === 1) this.#wait();
  }

  /** Bytes that have not left yet at `nowMs`. */
  waitingBytes(nowMs: number): number {
    return this.#entries.reduce((sum, { bytes, passage }) => sum + (passage.departMs > nowMs ? bytes : 0), 0);
  }

  /** Stops deliveries while the receiver takes no more. */
  hold(): void {
    this.#held = true;
    this.#stopWaiting();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#wait();
  }

  /** Drops everything that is under way. */
  clear(): void {
    this.#entries.length = 0;
    this.bytes = 0;
    this.#stopWaiting();
  }

  #wait(): void {
    const head = this.#entries[0];
    if (!head || this.#held || this.#cancelTimer) return;
    const waitMs = Math.max(0, head.passage.arriveMs - this.#clock.now());
    this.#cancelTimer = this.#clock.schedule(waitMs, () => {
      this.#cancelTimer = undefined;
      this.#arrived();
    });
  }

  #stopWaiting(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #arrived(): void {
    const nowMs = this.#clock.now();
    const head = this.#entries[0]!;
    // Real timers may fire a fraction early, and a stall may have begun since the arrival was planned.
    const readyMs = this.#model.movesFromMs(Math.max(nowMs, head.passage.arriveMs));
    if (readyMs > nowMs) {
      this.#cancelTimer = this.#clock.schedule(readyMs - nowMs, () => {
        this.#cancelTimer = undefined;
        this.#arrived();
      });
      return;
    }
    this.#entries.shift();
    this.bytes -= head.bytes;
    this.#deliver(head.item);
    this.#wait();
  }
}
