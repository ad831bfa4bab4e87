import { type Random, seededRandom } from '@tandem/shared';
import type { CheckedLinkProfile, Direction } from './link-profile.js';
import { RateSchedule } from './rate-schedule.js';
import { StallSchedule } from './stall-schedule.js';

/** When a frame has left the sender's queue, and when it is there. */
export interface Passage {
  readonly departMs: number;
  readonly arriveMs: number;
}

/** One direction: the end of its queue and its own draws, so that the other direction's traffic changes nothing here. */
interface Lane {
  readonly random: Random;
  departMs: number;
  arriveMs: number;
}

/**
 * The arithmetic of a link; it owns no timer. Per direction there is one queue, shared by all connections:
 *
 *   depart = max(now, depart of the frame before) + bytes / rate      (resting during stalls)
 *   arrive = max(depart + rtt / 2 + U[0, jitter), arrive of the frame before), then the end of a stall at that time
 *
 * The same profile, seed and calls give the same times.
 */
export class LinkModel {
  #profile: CheckedLinkProfile;
  #stalls: StallSchedule;
  #rates: RateSchedule;
  readonly #seed: number;
  readonly #lanes: Record<Direction, Lane>;

  constructor(profile: CheckedLinkProfile, seed: number, startMs: number) {
    this.#profile = profile;
    this.#seed = seed;
    this.#stalls = new StallSchedule(profile, subSeed(seed, 2), startMs);
    this.#rates = new RateSchedule(profile, startMs);
    this.#lanes = { up: startLane(subSeed(seed, 0)), down: startLane(subSeed(seed, 1)) };
  }

  /** Puts `bytes` into the queue of `direction` at `nowMs`. */
  plan(direction: Direction, bytes: number, nowMs: number): Passage {
    const lane = this.#lanes[direction];
    const startMs = this.movesFromMs(Math.max(nowMs, lane.departMs));
    lane.departMs = this.#stalls.doneAtMs(startMs, this.#rates.doneAtMs(direction, startMs, bytes) - startMs);
    const flightMs = this.#rates.rttMs(lane.departMs) / 2 + lane.random.next() * this.#profile.jitterMs;
    lane.arriveMs = this.movesFromMs(Math.max(lane.departMs + flightMs, lane.arriveMs));
    return { departMs: lane.departMs, arriveMs: lane.arriveMs };
  }

  /** The first time from `atMs` on at which the link moves. */
  movesFromMs(atMs: number): number {
    return this.#stalls.movesFromMs(atMs);
  }

  /** Holds both directions from `nowMs` on; what is still in a queue leaves that much later. */
  stall(nowMs: number, durationMs: number): void {
    this.#stalls.add(nowMs, durationMs);
    for (const lane of Object.values(this.#lanes)) if (lane.departMs > nowMs) lane.departMs += durationMs;
  }

  /** From now on another link; what is under way keeps its time, and nothing overtakes it. */
  setProfile(profile: CheckedLinkProfile, nowMs: number): void {
    this.#profile = profile;
    this.#stalls = new StallSchedule(profile, subSeed(this.#seed, 2), nowMs);
    this.#rates = new RateSchedule(profile, nowMs);
  }

  /** After a cut: the queues are empty. */
  clear(): void {
    for (const lane of Object.values(this.#lanes)) {
      lane.departMs = 0;
      lane.arriveMs = 0;
    }
  }
}

function startLane(seed: number): Lane {
  return { random: seededRandom(seed), departMs: 0, arriveMs: 0 };
}

/** Four streams of chance per seed: up, down, stalls, cuts. Neighbouring seeds share none. */
export function subSeed(seed: number, stream: 0 | 1 | 2 | 3): number {
  return seed * 4 + stream;
}
