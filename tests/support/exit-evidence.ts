import type { ExitEvidence } from '@tandem/edge';

/** What an exit saw of which no policy is sure. */
export const UNSURE: ExitEvidence = {
  top: 0,
  second: 1,
  maxProbability: 0,
  margin: 0,
  entropy: 9,
  rowSimilarity: 0,
  exit: 1,
  generated: 0,
  earlier: [],
  recentEntropies: [],
  roundTripMs: undefined,
};
