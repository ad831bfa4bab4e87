import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../bench/dist/main.js', import.meta.url));
const MODES = ['exact', 'collaborative', 'device-only', 'cloud-only', 'co-located', 'split-f16', 'ce-collm'];

/** The command as its users run it, on two openings: every mode tells, on both clocks, and the figures hang together. */
it('bench decode tells in every mode on both clocks', async () => {
  const flags = '--json --prompts 2 --tokens 16 --rtt 0,30 --real-prompts 1 --real-tokens 8 --no-cache'.split(' ');
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'decode', ...flags]);
  expect(stdout.trim().split('\n')).toHaveLength(1);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ bench: 'decode', seed: 7, stories: 2, tokens: 16 });
  expect(Object.keys(result.breakEvenRttMs).sort()).toEqual([...MODES].sort());
  expect(result.rows).toHaveLength(2 * 2 * MODES.length);
  for (const row of result.rows) {
    const name = `${row.clock} ${row.mode} ${row.rttMs}`;
    expect(row.tokensPerS, name).toBeGreaterThan(0);
    expect(row.p95Ms, name).toBeGreaterThanOrEqual(0);
    if (row.mode !== 'device-only' && row.mode !== 'collaborative' && row.mode !== 'ce-collm') {
      expect(row.agreement, name).toBe(1);
    }
    if (row.mode === 'cloud-only') expect(row.ratioToCloudOnly, name).toBe(1);
    if (row.mode === 'device-only') expect(row.bytesUpPerToken, name).toBe(0);
  }
  const virtual = (mode: string, rttMs: number) =>
    result.rows.find((row: { clock: string; mode: string; rttMs: number }) => {
      return row.clock === 'virtual' && row.mode === mode && row.rttMs === rttMs;
    });
  // Known by hand: 37 ms per token, 39 bytes or so per streamed verdict, one round trip per token and its row of 8 KiB.
  expect(virtual('cloud-only', 0).p95Ms).toBeCloseTo(37, 3);
  expect(virtual('split-f16', 0).waitedRoundTripsPerToken).toBe(1);
  expect(virtual('split-f16', 30).p95Ms - virtual('split-f16', 0).p95Ms).toBeCloseTo(30, 3);
  expect(virtual('split-f16', 0).bytesUpPerToken).toBeGreaterThan(8_192);
}, 120_000);
