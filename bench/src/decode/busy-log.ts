/** When something worked: intervals in the order of their beginning. */
export class BusyLog {
  readonly intervals: { fromMs: number; toMs: number }[] = [];

  add(fromMs: number, toMs: number): void {
    if (toMs > fromMs) this.intervals.push({ fromMs, toMs });
  }

  get totalMs(): number {
    return this.intervals.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  }
}

/** How much of `[fromMs, toMs)` none of the logs covers: nobody computes, so everybody waits for the link. */
export function idleMs(logs: readonly BusyLog[], fromMs: number, toMs: number): number {
  const intervals = logs.flatMap((log) => log.intervals).sort((a, b) => a.fromMs - b.fromMs);
  let idle = 0;
  let coveredToMs = fromMs;
  for (const interval of intervals) {
    if (interval.fromMs > coveredToMs) idle += Math.min(interval.fromMs, toMs) - coveredToMs;
    coveredToMs = Math.max(coveredToMs, Math.min(interval.toMs, toMs));
    if (coveredToMs >= toMs) return idle;
  }
  return idle + toMs - coveredToMs;
}
