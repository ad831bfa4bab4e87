import {
  allOf,
  anyOf,
  decaying,
  type ExitEvidence,
  entropy,
  latencyAware,
  margin,
  maxProbability,
  patience,
  rollingEntropy,
  saturation,
} from '@tandem/edge';
import { describe, expect, test } from 'vitest';
import { UNSURE } from '../support/exit-evidence.js';

const saw = (evidence: Partial<ExitEvidence>): ExitEvidence => ({ ...UNSURE, ...evidence });

describe('thresholds', () => {
  test.each([
    ['max probability', maxProbability(0.8), 'maxProbability', 0.8, 0.79999],
    ['margin', margin(0.5), 'margin', 0.5, 0.49999],
    ['entropy', entropy(1.2), 'entropy', 1.2, 1.20001],
    ['saturation', saturation(0.95), 'rowSimilarity', 0.95, 0.94999],
  ] as const)('%s is reached by equality, at every exit', (_name, policy, field, sure, unsure) => {
    for (const exit of [1, 2, 5]) {
      expect(policy.isConfident(saw({ exit, [field]: sure }))).toBe(true);
      expect(policy.isConfident(saw({ exit, [field]: unsure }))).toBe(false);
      expect(policy.isConfident(saw({ exit, [field]: Number.NaN }))).toBe(false);
    }
  });

  test('one threshold per exit; the last one holds for the rest; none is never sure', () => {
    const policy = maxProbability([0.9, 0.5]);
    const answers = [1, 2, 3].map((exit) => policy.isConfident(saw({ exit, maxProbability: 0.6 })));
    expect(answers).toEqual([false, true, true]);
    expect(policy.name).toBe('max probability 0.9, 0.5');
    expect(maxProbability([]).isConfident(saw({ maxProbability: 1 }))).toBe(false);
  });
});

test('rolling entropy is the mean over the window, this token included, and short at the start', () => {
  const policy = rollingEntropy(1, 3);
  expect(policy.isConfident(saw({ entropy: 1 }))).toBe(true);
  expect(policy.isConfident(saw({ entropy: 0.2, recentEntropies: [9, 1.4, 1.4] }))).toBe(true);
  expect(policy.isConfident(saw({ entropy: 0.3, recentEntropies: [0, 1.4, 1.4] }))).toBe(false);
  expect(rollingEntropy(1, 1).isConfident(saw({ entropy: 0.9, recentEntropies: [9] }))).toBe(true);
});

test('patience waits for exits in a row that name the same token', () => {
  const earlier = (...tops: number[]) => tops.map((top) => ({ ...UNSURE, top }));
  expect(patience(2).isConfident(saw({ top: 7 }))).toBe(false);
  expect(patience(2).isConfident(saw({ top: 7, earlier: earlier(7) }))).toBe(true);
  expect(patience(2).isConfident(saw({ top: 7, earlier: earlier(7, 3) }))).toBe(false);
  expect(patience(2).isConfident(saw({ top: 7, earlier: earlier(3, 7) }))).toBe(true);
  expect(patience(3).isConfident(saw({ top: 7, earlier: earlier(3, 7) }))).toBe(false);
});

test('a decaying threshold starts at 0.9 λ + 0.1 and relaxes towards 0.9 λ', () => {
  const policy = decaying(maxProbability, { threshold: 0.8, length: 100 });
  const needed = (generated: number) => {
    for (let probability = 0; probability <= 1000; probability++) {
      if (policy.isConfident(saw({ generated, maxProbability: probability / 1000 }))) return probability / 1000;
    }
    return Number.NaN;
  };
  expect(needed(0)).toBeCloseTo(0.82, 2);
  expect(needed(100)).toBeCloseTo(0.72 + 0.1 * Math.exp(-4), 2);
  expect(needed(10_000)).toBeCloseTo(0.72, 2);
});

test('a latency-aware threshold is strict on a quick link, lenient on a slow one, strict while nothing is known', () => {
  const policy = latencyAware(maxProbability, { strict: 0.9, lenient: 0.5, quickMs: 10, slowMs: 1000 });
  const sureAt = (roundTripMs: number | undefined, maxProbability: number) =>
    policy.isConfident(saw({ roundTripMs, maxProbability }));
  expect(sureAt(undefined, 0.89)).toBe(false);
  expect(sureAt(1, 0.89)).toBe(false);
  expect(sureAt(5000, 0.5)).toBe(true);
  // Half way on the logarithmic scale.
  expect(sureAt(100, 0.701)).toBe(true);
  expect(sureAt(100, 0.699)).toBe(false);
});

test('policies combine', () => {
  const both = allOf(maxProbability(0.5), margin(0.2));
  const either = anyOf(maxProbability(0.5), margin(0.2));
  const evidence = saw({ maxProbability: 0.6, margin: 0.1 });
  expect(both.isConfident(evidence)).toBe(false);
  expect(either.isConfident(evidence)).toBe(true);
  expect(both.isConfident(saw({ maxProbability: 0.6, margin: 0.3 }))).toBe(true);
  expect(either.isConfident(UNSURE)).toBe(false);
  expect(anyOf().isConfident(evidence) || allOf().isConfident(evidence)).toBe(false);
  expect(both.name).toBe('all of (max probability 0.5 & margin 0.2)');
});
