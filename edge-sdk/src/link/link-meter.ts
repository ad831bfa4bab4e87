import { smooth } from '../control/smooth.js';

/** A measurement is out of line when it is off by this share of the smoothed value, and by these milliseconds. */
const OUTLIER_SHARE = 0.5;
const OUTLIER_MS = 5;

/** So many in a row, all on one side, are no outliers but another link: a handover, a tunnel's end. */
const CHANGE_MEASUREMENTS = 3;

/** A forward of so many bytes tells of the uplink's rate; smaller ones tell of the round trip. */
const LARGE_BYTES = 32 * 1024;

/** A forward of so many rows tells what the server takes for one. */
const MANY_ROWS = 16;

/** Until one was sent: 10 Mbit/s, as on an ordinary mobile link. */
const UP_BYTES_PER_MS = 1_250;

/** What answers cost: totals since the session began, and the link and the server of late. */
export class LinkMeter {
  readonly totals = { forwards: 0, roundTrips: 0, wireMs: 0, engineMs: 0, queueMs: 0 };
  #roundTripMs: number | undefined;
  #forwardMs: number | undefined;
  #upBytesPerMs: number | undefined;
  #engineMsPerRow: number | undefined;
  #outliers: number[] = [];

  /** Smoothed time from a forward to its verdict, without the server's own; undefined while none was measured. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Smoothed rate of the uplink. */
  get upBytesPerMs(): number {
    return this.#upBytesPerMs ?? UP_BYTES_PER_MS;
  }

  /** Smoothed time that a forward takes in the server. */
  get forwardMs(): number | undefined {
    return this.#forwardMs;
  }

  /** How long it takes until the server has so many rows more; undefined while no round trip was measured. */
  predictMs(rows: number, bytes: number): number | undefined {
    if (this.#roundTripMs === undefined) return undefined;
    return this.#roundTripMs + bytes / this.upBytesPerMs + rows * (this.#engineMsPerRow ?? 0);
  }

  /** A verdict came. `elapsedMs` since its forward; undefined where the server went on alone and nothing was asked. */
  answered(elapsedMs: number | undefined, engineMs: number, queueMs: number, bytes = 0, rows = 0): void {
    this.totals.engineMs += engineMs;
    this.totals.queueMs += queueMs;
    this.#forwardMs = smooth(this.#forwardMs, engineMs + queueMs);
    if (rows >= MANY_ROWS) this.#engineMsPerRow = smooth(this.#engineMsPerRow, engineMs / rows);
    if (elapsedMs === undefined) return;
    const wireMs = Math.max(0, elapsedMs - engineMs - queueMs);
    this.totals.roundTrips++;
    this.totals.wireMs += wireMs;
    if (bytes >= LARGE_BYTES) this.#measuredRate(bytes, wireMs);
    else this.#measured(wireMs);
  }

  /** What a large forward took beyond a small one's round trip is its upload. */
  #measuredRate(bytes: number, wireMs: number): void {
    const uploadMs = Math.max(1, wireMs - (this.#roundTripMs ?? wireMs / 2));
    this.#upBytesPerMs = smooth(this.#upBytesPerMs, bytes / uploadMs);
  }

  /** Smooths; after a sudden change of the link the old value is dropped instead of being worn down. */
  #measured(wireMs: number): void {
    const smoothed = this.#roundTripMs;
    if (smoothed === undefined || !isOutlier(wireMs, smoothed)) this.#outliers = [];
    else if (this.#outliers.some((other) => other > smoothed !== wireMs > smoothed)) this.#outliers = [wireMs];
    else this.#outliers.push(wireMs);
    if (this.#outliers.length < CHANGE_MEASUREMENTS) {
      this.#roundTripMs = smooth(smoothed, wireMs);
      return;
    }
    this.#roundTripMs = this.#outliers.reduce((sum, ms) => sum + ms, 0) / this.#outliers.length;
    this.#outliers = [];
  }
}

function isOutlier(wireMs: number, smoothed: number): boolean {
  return Math.abs(wireMs - smoothed) > Math.max(OUTLIER_MS, OUTLIER_SHARE * smoothed);
}
