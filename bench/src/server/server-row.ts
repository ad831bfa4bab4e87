import { formatColumns, roundMs } from '../report.js';
import type { LoadFigures } from './load.js';

export type ServerMode = 'exact' | 'cloud-only';
export type ServerClock = 'virtual' | 'real';

/** One line of the table. */
export interface ServerRow {
  clock: ServerClock;
  mode: ServerMode;
  sessions: number;
  tokensPerS: number;
  stepP50Ms: number;
  stepP99Ms: number;
  queueP99Ms: number;
  engineMsPerToken: number;
  /** Queue and engine together. */
  answerP99Ms: number;
  /** Of one session, as the server counts them. */
  hotBytes: number;
  coldBytes: number;
  refused: number;
}

/** Runs one load. */
export type Measure = (mode: ServerMode, sessions: number) => Promise<ServerRow>;

export interface RowBase {
  clock: ServerClock;
  mode: ServerMode;
  sessions: number;
  seconds: number;
  /** Of one session. */
  bytes: { hot: number; rows: number };
}

export function serverRow({ clock, mode, sessions, seconds, bytes }: RowBase, figures: LoadFigures): ServerRow {
  const { engineMs, queueMs, busyMs, tokens, refused } = figures;
  const serverMs = engineMs.map((ms, index) => ms + queueMs[index]!);
  return {
    clock,
    mode,
    sessions,
    tokensPerS: roundMs(tokens / seconds),
    stepP50Ms: roundMs(quantile(engineMs, 0.5)),
    stepP99Ms: roundMs(quantile(engineMs, 0.99)),
    queueP99Ms: roundMs(quantile(queueMs, 0.99)),
    engineMsPerToken: roundMs(busyMs / Math.max(1, tokens)),
    answerP99Ms: roundMs(quantile(serverMs, 0.99)),
    hotBytes: Math.round(bytes.hot),
    coldBytes: Math.round(bytes.rows),
    refused,
  };
}

export function formatServerRows(rows: readonly ServerRow[]): string {
  const head = ['clock', 'mode', 'sessions', 'tokens/s', 'step p50', 'step p99', 'queue p99', 'engine ms/token'];
  const cells = rows.map((row) => [
    row.clock,
    row.mode,
    String(row.sessions),
    row.tokensPerS.toFixed(0),
    row.stepP50Ms.toFixed(2),
    row.stepP99Ms.toFixed(2),
    row.queueP99Ms.toFixed(1),
    row.engineMsPerToken.toFixed(2),
    (row.hotBytes / 1_024).toFixed(0),
    (row.coldBytes / 1_024).toFixed(0),
    String(row.refused),
  ]);
  return formatColumns([[...head, 'hot KiB', 'rows KiB', 'refused'], ...cells]);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
