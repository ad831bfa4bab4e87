import { median } from '../report.js';
import type { BenchMode } from './modes.js';
import type { Telling } from './telling.js';

/** One line of the result: a mode on a link. Times are milliseconds, everything per token is per token told. */
export interface DecodeRow {
  clock: 'virtual' | 'real';
  /** Of the stage times; `this-machine` in real time. */
  profile: string;
  mode: BenchMode;
  rttMs: number;
  tokensPerS: number;
  /** Median over the stories. */
  ttftMs: number;
  /** 95th percentile of the time between two tokens of a story. */
  p95Ms: number;
  exposedRttMsPerToken: number;
  roundTripsPerToken: number;
  /** Null where it cannot be seen from outside. */
  waitedRoundTripsPerToken: number | null;
  bytesUpPerToken: number;
  bytesDownPerToken: number;
  cloudMsPerToken: number;
  deviceMsPerToken: number;
  /** Share of the tokens by where they were decided. */
  origins: Record<string, number>;
  /** What said whether an exit was sure, with its thresholds; null where nobody asks. */
  policy: string | null;
  /** Share of the tokens that the unsplit model would have chosen after the same text. */
  agreement: number;
  /** Speed beside cloud-only on the same link. */
  ratioToCloudOnly: number;
  tokens: number;
}

/** In the other modes no exit is asked whether it is sure, or not by one of our policies. */
const ASKS_POLICY: readonly BenchMode[] = ['exact', 'collaborative', 'device-only'];

export interface RowHead extends Pick<DecodeRow, 'clock' | 'profile' | 'mode' | 'rttMs'> {
  /** Tokens that the unsplit model would have chosen, too. */
  agreed: number;
}

/** `ratioToCloudOnly` follows when all rows are there. */
export function rowOf({ agreed, ...head }: RowHead, tellings: readonly Telling[]): DecodeRow {
  const tokens = tellings.reduce((sum, telling) => sum + telling.tokens.length, 0);
  const elapsedMs = tellings.reduce((sum, { settledMs }) => sum + (settledMs.at(-1) ?? 0), 0);
  const perToken = (value: (telling: Telling) => number) => tellings.reduce((sum, one) => sum + value(one), 0) / tokens;
  const gaps = tellings.flatMap(({ settledMs }) => settledMs.slice(1).map((atMs, i) => atMs - settledMs[i]!));
  const isSeen = tellings.every(({ waitedRoundTrips }) => waitedRoundTrips !== undefined);
  return {
    ...head,
    tokensPerS: round((1_000 * tokens) / elapsedMs),
    ttftMs: round(median(tellings.map(({ settledMs }) => settledMs[0] ?? 0))),
    p95Ms: round(percentile(gaps, 0.95)),
    exposedRttMsPerToken: round(perToken(({ exposedMs }) => exposedMs)),
    roundTripsPerToken: round(perToken(({ roundTrips }) => roundTrips)),
    waitedRoundTripsPerToken: isSeen ? round(perToken(({ waitedRoundTrips }) => waitedRoundTrips ?? 0)) : null,
    bytesUpPerToken: round(perToken(({ bytesUp }) => bytesUp)),
    bytesDownPerToken: round(perToken(({ bytesDown }) => bytesDown)),
    cloudMsPerToken: round(perToken(({ cloudMs }) => cloudMs)),
    deviceMsPerToken: round(perToken(({ deviceMs }) => deviceMs)),
    origins: shares(tellings.flatMap(({ origins }) => origins)),
    policy: ASKS_POLICY.includes(head.mode) ? (tellings[0]?.policy ?? null) : null,
    agreement: round(agreed / tokens),
    ratioToCloudOnly: Number.NaN,
    tokens,
  };
}

/** Sets each row's ratio to the cloud-only row of its clock, profile and link. */
export function withRatios(rows: readonly DecodeRow[]): DecodeRow[] {
  return rows.map((row) => {
    const cloudOnly = rows.find(
      (other) =>
        other.mode === 'cloud-only' &&
        other.clock === row.clock &&
        other.profile === row.profile &&
        other.rttMs === row.rttMs,
    );
    return { ...row, ratioToCloudOnly: round(row.tokensPerS / (cloudOnly?.tokensPerS ?? Number.NaN)) };
  });
}

/** The smallest value that at least `share` of all values do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

function shares(origins: readonly string[]): Record<string, number> {
  const names = [...new Set(origins)].sort();
  return Object.fromEntries(
    names.map((name) => [name, round(origins.filter((origin) => origin === name).length / origins.length)]),
  );
}

/** Four digits behind the point: agreement of a hundred stories needs them. */
function round(value: number): number {
  return Number(value.toFixed(4));
}
