import type { DecodeRow } from './row.js';

/** Up to which round trip a mode is at least as fast as cloud-only. `atLeast`: it is on every link that was tried. */
export interface BreakEven {
  rttMs: number;
  atLeast: boolean;
}

/** Linear between the measured links; `rows` of one mode, clock and profile. 0 where the mode never is as fast. */
export function breakEvenOf(rows: readonly DecodeRow[]): BreakEven {
  const sorted = [...rows].sort((a, b) => a.rttMs - b.rttMs);
  let before: DecodeRow | undefined;
  for (const row of sorted) {
    if (row.ratioToCloudOnly < 1) {
      if (!before) return { rttMs: 0, atLeast: false };
      const share = (before.ratioToCloudOnly - 1) / (before.ratioToCloudOnly - row.ratioToCloudOnly);
      return { rttMs: Number((before.rttMs + share * (row.rttMs - before.rttMs)).toFixed(1)), atLeast: false };
    }
    before = row;
  }
  return { rttMs: before?.rttMs ?? 0, atLeast: true };
}

/** By clock and profile, then by mode. */
export function breakEvens(rows: readonly DecodeRow[]): Record<string, Record<string, BreakEven>> {
  const result: Record<string, Record<string, BreakEven>> = {};
  for (const { clock, profile, mode } of rows) {
    const same = rows.filter((row) => row.clock === clock && row.profile === profile && row.mode === mode);
    const place = `${clock} ${profile}`;
    result[place] = { ...result[place], [mode]: breakEvenOf(same) };
  }
  return result;
}
