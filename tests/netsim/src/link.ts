import { type Clock, type Random, seededRandom, systemClock } from '@tandem/shared';
import { CutSchedule } from './cut-schedule.js';
import { LinkModel, subSeed } from './link-model.js';
import { type CheckedLinkProfile, checkLinkProfile, type Direction, type LinkProfile } from './link-profile.js';

/** What has happened on a link so far. Bytes and frames count when they arrive. */
export interface LinkStats {
  upBytes: number;
  downBytes: number;
  /** Frames in process; in the proxy, pieces as they were forwarded. */
  upFrames: number;
  downFrames: number;
  connections: number;
  refused: number;
  cuts: number;
}

export type LinkEvent = { kind: 'opened' | 'refused' | 'cut'; atMs: number };

export interface LinkOptions {
  /** Default: the system's clock. */
  clock?: Clock;
  /** Same seed, same link. Default 1. */
  seed?: number;
  /** Hears of connections and cuts, with the time on `clock`. */
  onEvent?: (event: LinkEvent) => void;
}

/** What a link can do to one of its connections. */
export interface LinkConnection {
  /** Ends it abnormally. */
  drop(): void;
  /** Makes it half-open: it swallows everything, and nobody hears of it. */
  silence(): void;
  /** Ends it in an orderly way that nobody asked for, as a proxy does that restarts. */
  finish?(): void;
}

/** A link that all connections share: the model, its cuts, the refusal window and the counters. Both forms are built on it. */
export class Link {
  readonly clock: Clock;
  readonly model: LinkModel;
  readonly stats: LinkStats = {
    upBytes: 0,
    downBytes: 0,
    upFrames: 0,
    downFrames: 0,
    connections: 0,
    refused: 0,
    cuts: 0,
  };
  profile: CheckedLinkProfile;
  readonly #seed: number;
  readonly #onEvent: (event: LinkEvent) => void;
  readonly #connections = new Set<LinkConnection>();
  /** Frames or chunks whose next one is to be damaged, by direction. */
  readonly #flips: Record<Direction, number> = { up: 0, down: 0 };
  readonly #flipRandom: Random;
  #cuts: CutSchedule;
  #refusedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(profile: LinkProfile, { clock = systemClock, seed = 1, onEvent = () => {} }: LinkOptions) {
    this.profile = checkLinkProfile(profile);
    this.clock = clock;
    this.model = new LinkModel(this.profile, seed, clock.now());
    this.#seed = seed;
    this.#flipRandom = seededRandom(subSeed(seed, 3) + 1);
    this.#cuts = this.#planCuts();
    this.#onEvent = onEvent;
  }

  /** Whether a new connection is let in now. */
  admits(): boolean {
    const admitted = !this.profile.offline && this.clock.now() >= this.#refusedUntilMs;
    if (!admitted) {
      this.stats.refused += 1;
      this.#report('refused');
    }
    return admitted;
  }

  /** A connection begins. Returns what to call when it has ended by itself. */
  opened(connection: LinkConnection): () => void {
    // The stalls of the profile count from the first connection, like its cuts.
    if (this.stats.connections === 0) this.model.setProfile(this.profile, this.clock.now());
    this.stats.connections += 1;
    this.#connections.add(connection);
    if (this.#connections.size === 1) this.#cuts.resume();
    this.#report('opened');
    return () => {
      if (this.#connections.delete(connection) && this.#connections.size === 0) this.#cuts.pause();
    };
  }

  /** Bytes arrive: `deliver` gets as many as come before the next cut, which then happens. */
  pass(direction: Direction, bytes: number, deliver: (passedBytes: number) => void): void {
    const passedBytes = this.#cuts.passable(direction, bytes);
    this.stats[`${direction}Bytes`] += passedBytes;
    this.stats[`${direction}Frames`] += 1;
    const isCut = this.#cuts.count(direction, passedBytes);
    deliver(passedBytes);
    if (isCut) this.cut();
  }

  cut(): void {
    this.stats.cuts += 1;
    this.#refusedUntilMs = this.clock.now() + this.profile.reconnectRefusedMs;
    this.#report('cut');
    this.model.clear();
    this.dispose();
  }

  /** From now on nothing of the open connections arrives, and nobody is told; new connections are sound. */
  silence(): void {
    for (const connection of this.#connections) connection.silence();
  }

  finish(): void {
    for (const connection of [...this.#connections]) connection.finish?.();
  }

  flipNext(direction: Direction): void {
    this.#flips[direction] += 1;
  }

  /** The bytes as they arrive: themselves, or a copy with one bit flipped where that was asked for. */
  asReceived<Bytes extends Uint8Array>(direction: Direction, bytes: Bytes): Bytes {
    if (this.#flips[direction] === 0 || bytes.length === 0) return bytes;
    this.#flips[direction] -= 1;
    const damaged = bytes.slice() as Bytes;
    const bit = Math.floor(this.#flipRandom.next() * 8 * bytes.length);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    return damaged;
  }

  stall(durationMs: number): void {
    this.model.stall(this.clock.now(), durationMs);
  }

  setProfile(profile: LinkProfile): void {
    this.profile = checkLinkProfile(profile);
    this.model.setProfile(this.profile, this.clock.now());
    this.#cuts.pause();
    this.#cuts = this.#planCuts();
    if (this.#connections.size === 0) return;
    if (this.profile.offline) this.cut();
    else this.#cuts.resume();
  }

  /** Cancels what is scheduled and drops all connections, without counting a cut. */
  dispose(): void {
    this.#cuts.pause();
    const connections = [...this.#connections];
    this.#connections.clear();
    for (const connection of connections) connection.drop();
  }

  #planCuts(): CutSchedule {
    return new CutSchedule(this.profile, subSeed(this.#seed, 3), this.clock, () => this.cut());
  }

  #report(kind: LinkEvent['kind']): void {
    this.#onEvent({ kind, atMs: this.clock.now() });
  }
}
