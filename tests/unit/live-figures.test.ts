import { LiveFigures, LogHistogram } from '@tandem/cloud/testing';
import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../support/manual-clock.js';

describe('a log histogram', () => {
  it('tells a quantile to 5 %, over seven powers of ten', () => {
    const histogram = new LogHistogram();
    expect(histogram.quantile(0.5)).toBe(null);
    const values = Array.from({ length: 1_000 }, (_, index) => 2e-5 * 1.0145 ** index);
    for (const value of values) histogram.add(value);
    for (const share of [0.001, 0.25, 0.5, 0.99, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1]!;
      const told = histogram.quantile(share)!;
      expect([share, told >= exact * 0.999 && told <= exact * 1.051]).toEqual([share, true]);
    }
    for (const far of [0, -1, 1e9]) histogram.add(far);
    expect(histogram.quantile(1)).toBeGreaterThan(99);
    histogram.clear();
    expect(histogram.quantile(1)).toBe(null);
  });
});

describe('live figures', () => {
  const start = () => {
    const clock = new ManualClock();
    const gauges = { tandem_sessions: { connected: 3, detached: 1 }, tandem_context_budget_bytes: 1_000 };
    const figures = new LiveFigures(clock, () => gauges);
    figures.start();
    return { clock, figures };
  };

  it('are rates of what was counted, per second that has passed', async () => {
    const { clock, figures } = start();
    figures.count('tandem_tokens_total', 30, 'confirmed');
    figures.count('tandem_tokens_total', 2, 'corrected');
    figures.count('tandem_refusals_total', 1, 'SERVER_BUSY');
    figures.count('tandem_refusals_total', 2, 'UNAUTHORIZED');
    figures.observe('tandem_step_seconds', 0.002, 'interactive');
    figures.observe('tandem_step_seconds', 4, 'prefill');
    figures.observe('tandem_step_sessions', 3);
    figures.observe('tandem_step_sessions', 1);
    await clock.advance(1_000);
    await clock.advance(1_000);
    const { first, columns, budgetBytes } = figures.since(0);
    expect(first).toBe(0);
    expect(budgetBytes).toBe(1_000);
    expect(columns.confirmedPerS).toEqual([30, 0]);
    expect(columns.correctedPerS).toEqual([2, 0]);
    expect(columns.refusals).toEqual([3, 3]);
    expect(columns.connected).toEqual([3, 3]);
    expect(columns.runsPerS).toEqual([2, 0]);
    // Nothing measured is not zero.
    expect(columns.stepP99Ms).toEqual([expect.closeTo(2, 0), null]);
    expect(columns.queueP99Ms).toEqual([null, null]);
    figures.stop();
    await clock.advance(5_000);
    expect(figures.since(0).columns.connected).toHaveLength(2);
  });

  it('are told from where the page stopped, as far as they are kept', async () => {
    const { clock, figures } = start();
    for (let second = 0; second < limits.DASHBOARD_SAMPLES_MAX + 7; second++) await clock.advance(1_000);
    const all = figures.since(0);
    expect([all.first, all.columns.unixMs.length]).toEqual([7, limits.DASHBOARD_SAMPLES_MAX]);
    const next = limits.DASHBOARD_SAMPLES_MAX + 5;
    expect(figures.since(next).first).toBe(next);
    expect(figures.since(next).columns.unixMs).toHaveLength(2);
    // From the future: another process asked before.
    expect(figures.since(9_999)).toMatchObject({ first: next + 2, columns: { unixMs: [] } });
    figures.stop();
  });
});
