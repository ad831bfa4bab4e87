import { type Clock, type Random, seededRandom } from '@tandem/shared';
import type { CheckedLinkProfile, CutRule, Direction } from './link-profile.js';
import { exponentialMs } from './stall-schedule.js';

/** A cut after a total of bytes or frames; `left` counts down. */
interface CountedCut {
  readonly direction: Direction;
  readonly unit: 'bytes' | 'frames';
  left: number;
}

/** Tells when the cuts of a profile are due. Owns timers only while the link is in use, so that a process can end. */
export class CutSchedule {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #profile: CheckedLinkProfile;
  readonly #cut: () => void;
  readonly #cancels = new Set<() => void>();
  readonly #counted: CountedCut[];
  #startMs: number | undefined;

  constructor(profile: CheckedLinkProfile, seed: number, clock: Clock, cut: () => void) {
    this.#profile = profile;
    this.#random = seededRandom(seed);
    this.#clock = clock;
    this.#cut = cut;
    this.#counted = profile.cuts.flatMap((rule) => countedCut(rule) ?? []);
  }

  /** A connection has opened, and none was open. Times that passed while the link was idle are skipped. */
  resume(): void {
    const nowMs = this.#clock.now();
    this.#startMs ??= nowMs;
    for (const rule of this.#profile.cuts) {
      if (!('afterMs' in rule)) continue;
      const waitMs = this.#startMs + rule.afterMs - nowMs;
      if (waitMs > 0 || (waitMs === 0 && this.#startMs === nowMs)) this.#after(waitMs, this.#cut);
    }
    if (this.#profile.randomCuts) {
      this.#after(exponentialMs(this.#profile.randomCuts.meanIntervalMs, this.#random), this.#cut);
    }
  }

  /** The last connection has ended. */
  pause(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  /** How many of these bytes arrive before the next cut. */
  passable(direction: Direction, bytes: number): number {
    const limits = this.#counted.filter((rule) => rule.direction === direction && rule.unit === 'bytes');
    return Math.min(bytes, ...limits.map(({ left }) => left));
  }

  /** Counts one frame of which `bytes` have arrived; true if a cut is due now. */
  count(direction: Direction, bytes: number): boolean {
    for (const rule of this.#counted) {
      if (rule.direction === direction) rule.left -= rule.unit === 'bytes' ? bytes : 1;
    }
    const due = this.#counted.filter(({ left }) => left <= 0);
    for (const rule of due) this.#counted.splice(this.#counted.indexOf(rule), 1);
    return due.length > 0;
  }

  #after(delayMs: number, action: () => void): void {
    const cancel = this.#clock.schedule(delayMs, () => {
      this.#cancels.delete(cancel);
      action();
    });
    this.#cancels.add(cancel);
  }
}

function countedCut(rule: CutRule): CountedCut | undefined {
  if ('afterBytes' in rule) return { direction: rule.direction, unit: 'bytes', left: rule.afterBytes };
  if ('afterFrames' in rule) return { direction: rule.direction, unit: 'frames', left: rule.afterFrames };
  return undefined;
}
