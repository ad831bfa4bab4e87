/** From 10 µs to 100 s; what lies outside counts as the nearest bound. */
const LEAST = 1e-5;
const RATIO = 1.05;
const BUCKETS = Math.ceil(Math.log(100 / LEAST) / Math.log(RATIO)) + 1;

/**
 * Counts values in buckets of which each ends 5 % above the last: a quantile is right to 5 %, whatever the values are, in
 * memory that does not grow with them. HdrHistogram does the same with other buckets.
 */
export class LogHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #total = 0;

  add(seconds: number): void {
    const bucket = seconds > LEAST ? Math.ceil(Math.log(seconds / LEAST) / Math.log(RATIO)) : 0;
    this.#counts[Math.min(bucket, BUCKETS - 1)]!++;
    this.#total++;
  }

  /** Upper bound of the bucket that the value lies in; null without values. */
  quantile(share: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.max(1, Math.ceil(share * this.#total));
    let bucket = 0;
    while (left > this.#counts[bucket]!) left -= this.#counts[bucket++]!;
    return LEAST * RATIO ** bucket;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
