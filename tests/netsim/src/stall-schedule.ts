import { type Random, seededRandom } from '@tandem/shared';
import type { CheckedLinkProfile } from './link-profile.js';

interface Stall {
  readonly fromMs: number;
  readonly toMs: number;
}

/** When the link stands still, as a pure function of profile, seed and start, plus stalls added by hand. */
export class StallSchedule {
  readonly #stalls: Stall[];
  readonly #every: CheckedLinkProfile['randomStalls'];
  readonly #random: Random;
  /** Random stalls are drawn up to here. */
  #drawnToMs: number;

  constructor(profile: CheckedLinkProfile, seed: number, startMs: number) {
    this.#stalls = profile.stalls.map(({ afterMs, durationMs }) => ({
      fromMs: startMs + afterMs,
      toMs: startMs + afterMs + durationMs,
    }));
    this.#every = profile.randomStalls;
    this.#random = seededRandom(seed);
    this.#drawnToMs = startMs;
  }

  add(fromMs: number, durationMs: number): void {
    this.#stalls.push({ fromMs, toMs: fromMs + durationMs });
  }

  /** The first time from `atMs` on at which the link moves. */
  movesFromMs(atMs: number): number {
    const toMs = this.#stallAt(atMs)?.toMs;
    return toMs === undefined ? atMs : this.movesFromMs(toMs);
  }

  /** When work of `workMs` is done that starts at `atMs` and rests during stalls. */
  doneAtMs(atMs: number, workMs: number): number {
    const fromMs = this.movesFromMs(atMs);
    const next = this.#nextStall(fromMs, fromMs + workMs);
    if (!next) return fromMs + workMs;
    return this.doneAtMs(next.toMs, workMs - (next.fromMs - fromMs));
  }

  #stallAt(atMs: number): Stall | undefined {
    this.#drawTo(atMs);
    return this.#stalls.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
  }

  /** The earliest stall that begins in `(fromMs, toMs)`; empty ones hold nothing. */
  #nextStall(fromMs: number, toMs: number): Stall | undefined {
    this.#drawTo(toMs);
    return this.#stalls
      .filter((stall) => stall.fromMs > fromMs && stall.fromMs < toMs && stall.toMs > stall.fromMs)
      .sort((a, b) => a.fromMs - b.fromMs)[0];
  }

  #drawTo(atMs: number): void {
    if (!this.#every) return;
    while (this.#drawnToMs <= atMs) {
      const fromMs = this.#drawnToMs + exponentialMs(this.#every.meanIntervalMs, this.#random);
      this.add(fromMs, this.#every.durationMs);
      this.#drawnToMs = fromMs + this.#every.durationMs;
    }
  }
}

/** Inverse transform; `1 - next()` is never 0, so the logarithm is finite. */
export function exponentialMs(meanMs: number, random: Random): number {
  return -meanMs * Math.log(1 - random.next());
}
