import { formatColumns, roundMs } from '../report.js';
import type { Measure, ServerClock, ServerRow } from './server-row.js';

const SESSIONS = [8, 32];
const MODES = ['exact', 'cloud-only'] as const;
/** Other work on the machine only ever makes a try slower. */
const TRIES = 2;

/** A few loads on real sockets, as a witness of the virtual ones. */
export async function witnessRows(measure: Measure): Promise<ServerRow[]> {
  const rows: ServerRow[] = [];
  for (const sessions of SESSIONS) {
    for (const mode of MODES) {
      const tries: ServerRow[] = [];
      for (let attempt = 0; attempt < TRIES; attempt++) tries.push(await measure(mode, sessions));
      rows.push(tries.reduce((best, row) => (row.engineMsPerToken < best.engineMsPerToken ? row : best)));
    }
  }
  return rows;
}

/** So many times a token costs the engine in `cloud-only` what it costs in `exact`. */
export interface TokenCosts {
  clock: ServerClock;
  sessions: number;
  exactMs: number;
  cloudOnlyMs: number;
  ratio: number;
}

/** Of each load that ran in both modes under both clocks. */
export function tokenCosts(rows: readonly ServerRow[]): TokenCosts[] {
  const find = (clock: ServerClock, mode: string, sessions: number) =>
    rows.find((row) => row.clock === clock && row.mode === mode && row.sessions === sessions)?.engineMsPerToken;
  return SESSIONS.flatMap((sessions) =>
    (['virtual', 'real'] as const).flatMap((clock) => {
      const [exactMs, cloudOnlyMs] = MODES.map((mode) => find(clock, mode, sessions));
      if (!exactMs || !cloudOnlyMs) return [];
      return [{ clock, sessions, exactMs, cloudOnlyMs, ratio: roundMs(cloudOnlyMs / exactMs) }];
    }),
  );
}

export function formatTokenCosts(costs: readonly TokenCosts[]): string {
  if (costs.length === 0) return '';
  const head = ['clock', 'sessions', 'exact, engine ms/token', 'cloud-only', 'ratio'];
  const cells = costs.map(({ clock, sessions, exactMs, cloudOnlyMs, ratio }) =>
    [clock, sessions, exactMs.toFixed(2), cloudOnlyMs.toFixed(2), ratio.toFixed(2)].map(String),
  );
  return `\n${formatColumns([head, ...cells])}\n`;
}
