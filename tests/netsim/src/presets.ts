import type { LinkProfile } from './link-profile.js';

/** Profiles by name; other names are `undefined`, so that a name from a command line can be looked up. */
export interface Presets {
  readonly [name: string]: LinkProfile | undefined;
  readonly wifi: LinkProfile;
  readonly '4g': LinkProfile;
  readonly 'slow-4g': LinkProfile;
  readonly '3g': LinkProfile;
  readonly 'slow-3g': LinkProfile;
  readonly edge: LinkProfile;
  readonly satellite: LinkProfile;
  readonly offline: LinkProfile;
}

/**
 * Latency and rates from the throttling tables of three tools, at packet level: Chrome also multiplies its latency by up to
 * 5, because it throttles whole requests; we delay frames and leave that out. The tables have no jitter; ours is a tenth of
 * the round trip, drawn per way, unless noted. Rates are bits per second in the sources, hence `/ 8`.
 */
export const presets: Presets = {
  /** WebPageTest "FIOS": the fibre line behind a good access point; no source has the radio itself. */
  wifi: { rttMs: 4, jitterMs: 2, downBytesPerS: 20_000_000 / 8, upBytesPerS: 5_000_000 / 8 },
  /** Chrome DevTools "Fast 4G": Lighthouse's dense 4G is a desktop without an upload rate, and upload counts here. */
  '4g': { rttMs: 60, jitterMs: 6, downBytesPerS: 9_000_000 / 8, upBytesPerS: 1_500_000 / 8 },
  /** Lighthouse "mobileSlow4G", the profile of most published mobile scores. */
  'slow-4g': { rttMs: 150, jitterMs: 15, downBytesPerS: 1_638_400 / 8, upBytesPerS: 750_000 / 8 },
  /** Lighthouse "mobileRegular3G": WebPageTest's "3G" has its round trip, but more than twice its download rate. */
  '3g': { rttMs: 300, jitterMs: 30, downBytesPerS: 700_000 / 8, upBytesPerS: 700_000 / 8 },
  /** Chrome DevTools "Slow 3G": WebPageTest's has half its round trip, so this is the harsher one for small frames. */
  'slow-3g': { rttMs: 400, jitterMs: 40, downBytesPerS: 500_000 / 8, upBytesPerS: 500_000 / 8 },
  /** WebPageTest "Edge". */
  edge: { rttMs: 840, jitterMs: 84, downBytesPerS: 240_000 / 8, upBytesPerS: 200_000 / 8 },
  /**
   * Starlink, eleven telemetry traces of an hour at most: median round trip 28 ms, 95th percentile 43 ms, hence 15 ms of
   * jitter, half of it each way. Rates are the 99th percentile of what passed: the links idled most of the time, so a
   * median would be the traffic, not the capacity. The stalls (150 ms, every 15 s on average) are our assumption.
   */
  satellite: {
    rttMs: 28,
    jitterMs: 7.5,
    downBytesPerS: 56_000_000 / 8,
    upBytesPerS: 54_000_000 / 8,
    randomStalls: { meanIntervalMs: 15_000, durationMs: 150 },
  },
  /** No connection is let in. */
  offline: { offline: true },
};
