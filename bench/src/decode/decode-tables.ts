import { formatColumns } from '../report.js';
import type { Bar } from './bars.js';
import type { BreakEven } from './break-even.js';
import type { DecodeRow } from './row.js';

const HEAD = [
  'clock',
  'profile',
  'RTT',
  'mode',
  'tokens/s',
  'of cloud-only',
  'first ms',
  'p95 ms',
  'exposed ms',
  'trips',
  'waited',
  'bytes up',
  'down',
  'cloud ms',
  'device ms',
  'agreement',
  'decided at',
];

export function formatRows(rows: readonly DecodeRow[]): string {
  const lines = rows.map((row) => [
    row.clock,
    row.profile,
    String(row.rttMs),
    row.mode,
    row.tokensPerS.toFixed(1),
    row.ratioToCloudOnly.toFixed(2),
    row.ttftMs.toFixed(0),
    row.p95Ms.toFixed(1),
    row.exposedRttMsPerToken.toFixed(1),
    row.roundTripsPerToken.toFixed(2),
    row.waitedRoundTripsPerToken?.toFixed(2) ?? '-',
    row.bytesUpPerToken.toFixed(0),
    row.bytesDownPerToken.toFixed(0),
    row.cloudMsPerToken.toFixed(2),
    row.deviceMsPerToken.toFixed(2),
    row.agreement.toFixed(4),
    Object.entries(row.origins)
      .map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`)
      .join(' '),
  ]);
  return formatColumns([HEAD, ...lines]);
}

export function formatBreakEvens(breakEven: Record<string, Record<string, BreakEven>>): string {
  const lines = Object.entries(breakEven).flatMap(([place, modes]) =>
    Object.entries(modes).map(([mode, { rttMs, atLeast }]) => [place, mode, `${atLeast ? '≥ ' : ''}${rttMs}`]),
  );
  return `As fast as cloud-only up to this round trip:\n${formatColumns([['', 'mode', 'RTT ms'], ...lines])}`;
}

export function formatBars(bars: readonly Bar[]): string {
  const lines = bars.map(({ bar, figure, isMet }) => [bar, String(figure), isMet ? 'met' : 'MISSED']);
  return formatColumns([['bar', 'measured', ''], ...lines]);
}
