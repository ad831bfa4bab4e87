import type { CalibratedPolicyName, Evidence } from '@tandem/shared';
import type { ObservedText, TextLoss } from './observed-text.js';

/** How sure an exit is, the surer the higher: what each policy compares with its threshold. */
const SCORES: Record<CalibratedPolicyName, (evidence: Evidence) => number> = {
  'max-probability': ({ maxProbability }) => maxProbability,
  margin: ({ margin }) => margin,
  entropy: ({ entropy }) => -entropy,
};

/** Observed texts as a policy with one threshold per exit sees them. */
export interface ScoredText {
  tokens: number;
  /** `scores[e][i]` */
  scores: readonly Float64Array[];
  /** `wrong[e][i]`: 1 where exit e names another token than the whole model. */
  wrong: readonly Uint8Array[];
}

export function scoreText(text: ObservedText, policy: CalibratedPolicyName): ScoredText {
  const score = SCORES[policy];
  return {
    tokens: text.truth.length,
    scores: text.exits.map((words) => Float64Array.from(words, ({ evidence }) => score(evidence))),
    wrong: text.exits.map((words) =>
      Uint8Array.from(words, ({ evidence }, i) => Number(evidence.top !== text.truth[i])),
    ),
  };
}

/** A higher score than any; an exit with this threshold settles nothing. */
export const NEVER = Infinity;

/** What the text loses when each exit settles what reaches its threshold and no exit before it took. */
export function lossUnder(text: ScoredText, thresholds: readonly number[]): TextLoss & { settled: number } {
  let wrong = 0;
  let settled = 0;
  for (let i = 0; i < text.tokens; i++) {
    for (let exit = 0; exit < thresholds.length; exit++) {
      if (!(text.scores[exit]![i]! >= thresholds[exit]!)) continue;
      settled++;
      wrong += text.wrong[exit]![i]!;
      break;
    }
  }
  return { wrong, settled, tokens: text.tokens };
}
