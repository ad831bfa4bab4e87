import { breakEvenOf } from './break-even.js';
import type { BenchMode } from './modes.js';
import type { DecodeRow } from './row.js';

/** What the project promises, and what was measured. */
export interface Bar {
  bar: string;
  figure: number;
  isMet: boolean;
}

/** The bars that the rows can speak to; a mode or link that was not run gives none. */
export function barsOf(rows: readonly DecodeRow[]): Bar[] {
  const virtual = rows.filter(({ clock, profile }) => clock === 'virtual' && profile === 'ce-collm-7b');
  const real = rows.filter(({ clock }) => clock === 'real');
  return [
    ...atLeast('virtual exact: agreement with the unsplit model, least of all links', 1, worst(virtual, 'exact')),
    ...cloudTime(virtual, 'exact', 0.25),
    ...atMost(
      'virtual exact: round trips waited for, per token, most of all links',
      0.25,
      most(virtual, 'exact', ({ waitedRoundTripsPerToken }) => waitedRoundTripsPerToken ?? Number.NaN),
    ),
    ...speed(virtual, 'exact', 60, 80),
    ...twiceCeCollm(virtual),
    ...atLeast('virtual collaborative: agreement, least of all links', 0.99, worst(virtual, 'collaborative')),
    ...cloudTime(virtual, 'collaborative', 0.15),
    ...speed(virtual, 'collaborative', 80, 110),
    ...cloudCpuTime(real, 'exact', 0.45),
    ...cloudCpuTime(real, 'collaborative', 0.3),
  ];
}

function of(rows: readonly DecodeRow[], mode: BenchMode): DecodeRow[] {
  return rows.filter((row) => row.mode === mode);
}

function most(rows: readonly DecodeRow[], mode: BenchMode, value: (row: DecodeRow) => number): number | undefined {
  const values = of(rows, mode).map(value);
  return values.length > 0 ? Math.max(...values) : undefined;
}

function worst(rows: readonly DecodeRow[], mode: BenchMode): number | undefined {
  const least = most(rows, mode, ({ agreement }) => -agreement);
  return least === undefined ? undefined : -least;
}

/** The cloud's engine time beside cloud-only's on the same links; the worst link counts. */
function cloudTime(rows: readonly DecodeRow[], mode: BenchMode, bar: number): Bar[] {
  const cloudOnly = of(rows, 'cloud-only');
  const figure = most(rows, mode, ({ rttMs, cloudMsPerToken }) => {
    const other = cloudOnly.find((row) => row.rttMs === rttMs);
    return cloudMsPerToken / (other?.cloudMsPerToken ?? Number.NaN);
  });
  return atMost(`virtual ${mode}: cloud engine time per token, of cloud-only's, most of all links`, bar, figure);
}

/** In real time over all links together: the link has no part in it, and processor time comes in ticks. */
function cloudCpuTime(rows: readonly DecodeRow[], mode: BenchMode, bar: number): Bar[] {
  const total = (all: readonly DecodeRow[]) =>
    all.reduce((sum, { cloudMsPerToken, tokens }) => sum + cloudMsPerToken * tokens, 0) /
    all.reduce((sum, { tokens }) => sum + tokens, 0);
  const own = of(rows, mode);
  const figure = own.length > 0 ? total(own) / total(of(rows, 'cloud-only')) : undefined;
  return atMost(`real ${mode}: cloud engine CPU time per token, of cloud-only's`, bar, figure);
}

function speed(rows: readonly DecodeRow[], mode: BenchMode, bar: number, goal: number): Bar[] {
  const own = of(rows, mode);
  if (!own.some(({ rttMs }) => rttMs >= goal)) return [];
  const { rttMs } = breakEvenOf(own);
  const name = `virtual ${mode}: as fast as cloud-only up to ms of RTT`;
  return [...atLeast(name, bar, rttMs), ...atLeast(`${name} (goal)`, goal, rttMs)];
}

function twiceCeCollm(rows: readonly DecodeRow[]): Bar[] {
  const at80 = (mode: BenchMode) => of(rows, mode).find(({ rttMs }) => rttMs === 80)?.tokensPerS;
  const own = at80('exact');
  const other = at80('ce-collm');
  const figure = own !== undefined && other !== undefined ? own / other : undefined;
  return atLeast('virtual exact: speed beside CE-CoLLM as described, at 80 ms', 2, figure);
}

function atLeast(name: string, bar: number, figure: number | undefined): Bar[] {
  return figure === undefined ? [] : [{ bar: `${name} ≥ ${bar}`, figure: round(figure), isMet: figure >= bar }];
}

function atMost(name: string, bar: number, figure: number | undefined): Bar[] {
  return figure === undefined ? [] : [{ bar: `${name} ≤ ${bar}`, figure: round(figure), isMet: figure <= bar }];
}

function round(value: number): number {
  return Number(value.toFixed(4));
}
