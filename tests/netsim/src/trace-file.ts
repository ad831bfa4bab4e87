import { TandemError } from '@tandem/shared';
import type { TraceStep } from './link-profile.js';

/** Mahimahi counts packets of this size. */
const PACKET_BYTES = 1_500;
/** Packets of a Mahimahi trace are counted over windows of this length: single ones would be a rate of their own each. */
const WINDOW_MS = 100;
const BYTES_PER_MEGABIT = 125_000;

/**
 * Reads a trace of a real link. Three forms, told apart by their columns; commas, blanks or tabs between them:
 *
 *     412                     Mahimahi: at this millisecond one packet of 1,500 bytes may pass
 *     0.55 4.79               seconds, Mbit/s (both ways)
 *     0.00,26.1,8.9,1.6       seconds, round trip in ms, down Mbit/s, up Mbit/s
 *
 * A line of names may come first, in any order: `t_s`, `rtt_ms`, `down_mbps`, `up_mbps`, `down_bps`, `up_bps`; others
 * are skipped. @throws TandemError INVALID_OPTION with the line.
 */
export function parseTrace(text: string): TraceStep[] {
  const lines = text.split('\n').map((line) => line.trim());
  const rows = lines.flatMap((line, index) => (line && !line.startsWith('#') ? [{ cells: split(line), index }] : []));
  const names = rows[0]?.cells.some((cell) => Number.isNaN(Number(cell))) ? rows.shift()!.cells : undefined;
  const first = rows[0];
  if (!first) throw new TandemError('INVALID_OPTION', 'trace: no lines of numbers');
  const columns = names ?? COLUMNS[first.cells.length];
  if (!columns) throw invalid(first.index, `${first.cells.length} columns; 1, 2 or 4, or a line of names, are known`);
  const numbers = rows.map(({ cells, index }) => toNumbers(cells, columns.length, index));
  return columns === MAHIMAHI ? windowsOf(numbers.map(([ms]) => ms!)) : stepsOf(numbers, columns);
}

const MAHIMAHI = ['packet_ms'];
const COLUMNS: Record<number, string[]> = {
  1: MAHIMAHI,
  2: ['t_s', 'mbps'],
  4: ['t_s', 'rtt_ms', 'down_mbps', 'up_mbps'],
};

function stepsOf(rows: number[][], columns: string[]): TraceStep[] {
  const time = columns.indexOf('t_s');
  if (time < 0) throw invalid(0, `no column t_s among ${columns.join(', ')}`);
  const startS = rows[0]![time]!;
  return rows.map((row, index) => {
    if (index > 0 && row[time]! <= rows[index - 1]![time]!) throw invalid(index, 'time does not go on');
    const read = (name: string, factor: number) => {
      const column = columns.indexOf(name);
      return column < 0 ? undefined : row[column]! * factor;
    };
    const both = read('mbps', BYTES_PER_MEGABIT);
    const down = read('down_mbps', BYTES_PER_MEGABIT) ?? read('down_bps', 1 / 8) ?? both;
    const up = read('up_mbps', BYTES_PER_MEGABIT) ?? read('up_bps', 1 / 8) ?? both;
    const rttMs = read('rtt_ms', 1);
    return {
      atMs: (row[time]! - startS) * 1_000,
      ...(rttMs === undefined ? {} : { rttMs }),
      ...(down === undefined ? {} : { downBytesPerS: down }),
      ...(up === undefined ? {} : { upBytesPerS: up }),
    };
  });
}

function windowsOf(packetsMs: number[]): TraceStep[] {
  const windows = Math.floor(Math.max(...packetsMs.slice(-1)) / WINDOW_MS) + 1;
  const counts = new Array<number>(windows).fill(0);
  for (const ms of packetsMs) counts[Math.min(windows - 1, Math.floor(ms / WINDOW_MS))]!++;
  return counts.map((count, index) => {
    const bytesPerS = (count * PACKET_BYTES * 1_000) / WINDOW_MS;
    return { atMs: index * WINDOW_MS, downBytesPerS: bytesPerS, upBytesPerS: bytesPerS };
  });
}

function split(line: string): string[] {
  return line.split(/[\s,;]+/).filter(Boolean);
}

function toNumbers(cells: string[], count: number, index: number): number[] {
  const numbers = cells.map(Number);
  if (numbers.length === count && numbers.every((number) => Number.isFinite(number) && number >= 0)) return numbers;
  throw invalid(index, `"${cells.join(' ')}" is not ${count} numbers from 0 on`);
}

function invalid(index: number, what: string): TandemError {
  return new TandemError('INVALID_OPTION', `trace, line ${index + 1}: ${what}`);
}
