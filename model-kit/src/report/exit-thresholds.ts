import type { CalibratedPolicyName, Manifest, RowCodecName } from '@tandem/shared';
import { calibrateThresholds } from '../calibration/calibrate-thresholds.js';
import type { ObservedText } from '../calibration/observed-text.js';
import { NEVER } from '../calibration/scores.js';
import { type Leaving, leavingUnder } from './exit-figures.js';
import { TOLD_TOKENS } from './report-text.js';

/** Disagreements that are reported: 0.1, 0.5, 1, 2 and 5 %. */
export const EPSILONS = [0.001, 0.005, 0.01, 0.02, 0.05] as const;

export interface CalibratedLeaving extends Leaving {
  epsilon: number;
}

export interface LeavingFigures {
  /** Where the thresholds come from, in words. */
  source: string;
  leaving: CalibratedLeaving[];
}

const DELTA = 0.05;

export interface LeavingOptions {
  manifest: Manifest;
  format: string;
  codec: RowCodecName;
  policy: CalibratedPolicyName;
  /** Name of the texts, as a calibration of the bundle would have written it down. */
  textName: string;
}

/**
 * What leaves at each exit for each ε. The bundle's own thresholds are taken where it has them from other texts; else they
 * are calibrated on every second text, and what they do is reported on the others.
 */
export function leavingFigures(texts: readonly ObservedText[], options: LeavingOptions): LeavingFigures {
  const { manifest, format, codec, policy, textName } = options;
  const calibration = manifest.calibration?.find((entry) => entry.format === format && entry.codec === codec);
  const own = EPSILONS.map((epsilon) =>
    calibration?.policies.find((entry) => entry.policy === policy && entry.epsilon === epsilon),
  );
  if (calibration && calibration.text.name !== textName && own.every((entry) => entry !== undefined)) {
    const { text, delta } = calibration;
    const leaving = own.map(({ epsilon, thresholds }) => ({
      epsilon,
      ...leavingUnder(
        texts,
        policy,
        thresholds.map((threshold) => toScore(threshold, policy)),
      ),
    }));
    return {
      source: `the bundle’s, calibrated on ${text.tokens} tokens ${text.name}, confidence ${1 - delta}`,
      leaving,
    };
  }
  const [calibrating, reporting] = [0, 1].map((rest) => texts.filter((_, i) => i % 2 === rest)) as [
    ObservedText[],
    ObservedText[],
  ];
  const unitTokensMax = Math.min(TOLD_TOKENS, Math.max(1, ...texts.map(({ truth }) => truth.length)));
  const found = calibrateThresholds(calibrating, policy, { epsilons: EPSILONS, delta: DELTA, unitTokensMax });
  return {
    source: `calibrated on every second text, reported on the others, confidence ${1 - DELTA}; “tandem calibrate” takes more text`,
    leaving: found.map(({ epsilon, scores }) => ({ epsilon, ...leavingUnder(reporting, policy, scores) })),
  };
}

/** As published: floors, ceilings for entropy, null for never. */
function toScore(threshold: number | null, policy: CalibratedPolicyName): number {
  if (threshold === null) return NEVER;
  return policy === 'entropy' ? -threshold : threshold;
}
