import type { CalibratedPolicyName } from '@tandem/shared';
import { cutIntoBlocks, type ObservedText, type TextLoss } from './observed-text.js';
import { chooseBet, fixedSequence, riskPValue } from './risk-test.js';
import { lossUnder, NEVER, type ScoredText, scoreText } from './scores.js';
import { learnPath } from './threshold-path.js';

export interface ThresholdOptions {
  epsilons: readonly number[];
  delta: number;
  /** Texts longer than this are cut into blocks, and each block counts as a draw of its own. */
  unitTokensMax: number;
}

export interface CalibratedThresholds {
  epsilon: number;
  /** One per exit, first exit first; null: nothing may be settled there. Entropy's are ceilings, the others' are floors. */
  thresholds: (number | null)[];
  /** The same as scores that rise with sureness, `NEVER` for null: what `lossUnder` takes. */
  scores: readonly number[];
  /** Share of the tested texts' tokens that they settle on the device. */
  settled: number;
}

/** Of ten texts two choose the settings and their order; only the other eight are tested, and never choose. */
const LEARNING_TEXTS_OF_TEN = 2;

/**
 * Thresholds of a policy such that **of all tokens of a text, at most ε are settled on the device and differ from the
 * whole model's greedy choice at the same place, with confidence 1 − δ** over the draw of the texts: Learn then Test
 * (Angelopoulos et al. 2021) on the policy as a whole, with all its exits. Each ε has its own 1 − δ.
 */
export function calibrateThresholds(
  texts: readonly ObservedText[],
  policy: CalibratedPolicyName,
  { epsilons, delta, unitTokensMax }: ThresholdOptions,
): CalibratedThresholds[] {
  const score = (part: readonly ObservedText[]) =>
    part.flatMap((text) => cutIntoBlocks(text, unitTokensMax)).map((unit) => scoreText(unit, policy));
  const learning = score(texts.filter((_, i) => i % 10 < LEARNING_TEXTS_OF_TEN));
  const testing = score(texts.filter((_, i) => i % 10 >= LEARNING_TEXTS_OF_TEN));
  const exits = texts[0]?.exits.length ?? 0;
  const path = learnPath(learning, exits);
  const learned = lossesAlong(path, learning);
  const tested = lossesAlong(path, testing);
  return epsilons.map((epsilon) => {
    const test = { epsilon, delta, unitTokensMax };
    // Lazily: settings behind the first that fails are never looked at.
    const pValues = function* () {
      for (const k of path.keys()) yield riskPValue(tested(k), chooseBet(learned(k), testing.length, test), test);
    };
    const best = fixedSequence(pValues(), delta) - 1;
    const thresholds = path[best] ?? new Array<number>(exits).fill(NEVER);
    return {
      epsilon,
      thresholds: thresholds.map((threshold) => publish(threshold, policy)),
      scores: thresholds,
      settled: shareSettled(testing, thresholds),
    };
  });
}

/** What texts lose at a setting of the path; each is worked out once, when asked for. */
function lossesAlong(path: readonly number[][], texts: readonly ScoredText[]): (k: number) => TextLoss[] {
  const known = new Map<number, TextLoss[]>();
  return (k) => {
    const losses = known.get(k) ?? texts.map((text) => lossUnder(text, path[k]!));
    known.set(k, losses);
    return losses;
  };
}

/** Scores rise with sureness, entropies fall. */
function publish(threshold: number, policy: CalibratedPolicyName): number | null {
  if (threshold === NEVER) return null;
  return policy === 'entropy' ? 0 - threshold : threshold;
}

function shareSettled(texts: readonly ScoredText[], thresholds: readonly number[]): number {
  const losses = texts.map((text) => lossUnder(text, thresholds));
  const tokens = losses.reduce((sum, loss) => sum + loss.tokens, 0);
  return losses.reduce((sum, loss) => sum + loss.settled, 0) / tokens;
}
