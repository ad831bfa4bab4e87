import { tokenCosts } from '@tandem/bench/testing';
import { expect, test } from 'vitest';

const ROW = {
  tokensPerS: 0,
  stepP50Ms: 0,
  stepP99Ms: 0,
  queueP99Ms: 0,
  answerP99Ms: 0,
  hotBytes: 0,
  coldBytes: 0,
  refused: 0,
};
const row = (clock: 'virtual' | 'real', mode: 'exact' | 'cloud-only', sessions: number, engineMsPerToken: number) => ({
  ...ROW,
  clock,
  mode,
  sessions,
  engineMsPerToken,
});

test('a virtual figure and its witness stand side by side, and only loads that ran in both modes', () => {
  const rows = [
    row('virtual', 'exact', 8, 0.5),
    row('virtual', 'cloud-only', 8, 1.5),
    row('virtual', 'exact', 128, 0.5),
    row('real', 'exact', 8, 1),
    row('real', 'cloud-only', 8, 2.5),
    row('real', 'exact', 32, 1),
  ];
  expect(tokenCosts(rows)).toEqual([
    { clock: 'virtual', sessions: 8, exactMs: 0.5, cloudOnlyMs: 1.5, ratio: 3 },
    { clock: 'real', sessions: 8, exactMs: 1, cloudOnlyMs: 2.5, ratio: 2.5 },
  ]);
});
