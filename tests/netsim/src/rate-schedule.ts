import type { CheckedLinkProfile, Direction } from './link-profile.js';

/** What a link is like over time: the profile's own figures, or those of its trace, which begins anew when it ends. */
export class RateSchedule {
  readonly #profile: CheckedLinkProfile;
  readonly #startMs: number;
  readonly #lengthMs: number;

  constructor(profile: CheckedLinkProfile, startMs: number) {
    this.#profile = profile;
    this.#startMs = startMs;
    this.#lengthMs = lengthOf(profile.trace);
  }

  rttMs(atMs: number): number {
    return this.#stepAt(atMs)?.step.rttMs ?? this.#profile.rttMs;
  }

  /** When `bytes` that begin to leave at `fromMs` have left. */
  doneAtMs(direction: Direction, fromMs: number, bytes: number): number {
    let leftBytes = bytes;
    for (let atMs = fromMs; ; ) {
      const place = this.#stepAt(atMs);
      const bytesPerS = place?.step[`${direction}BytesPerS`] ?? this.#profile[`${direction}BytesPerS`];
      if (bytesPerS === undefined) return atMs;
      const doneMs = bytesPerS > 0 ? atMs + (leftBytes * 1_000) / bytesPerS : Number.POSITIVE_INFINITY;
      if (!place || doneMs <= place.endMs || leftBytes === 0) return leftBytes === 0 ? atMs : doneMs;
      leftBytes = Math.max(0, leftBytes - (bytesPerS * (place.endMs - atMs)) / 1_000);
      atMs = place.endMs;
    }
  }

  /** The step of the trace at this time, and when it ends. */
  #stepAt(atMs: number) {
    const { trace } = this.#profile;
    if (!trace) return undefined;
    const offsetMs = Math.max(0, atMs - this.#startMs) % this.#lengthMs;
    let low = 0;
    for (let high = trace.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (trace[middle]!.atMs <= offsetMs) low = middle;
      else high = middle;
    }
    const endsAtMs = trace[low + 1]?.atMs ?? this.#lengthMs;
    // Rounding must not make a step of no length: time would stand still.
    return { step: trace[low]!, endMs: atMs + Math.max(endsAtMs - offsetMs, 1e-6) };
  }
}

/** The last step lasts as long as the one before it. */
function lengthOf(trace: CheckedLinkProfile['trace']): number {
  const last = trace?.at(-1)?.atMs ?? 0;
  return last + (last - (trace?.at(-2)?.atMs ?? 0) || 1_000);
}
