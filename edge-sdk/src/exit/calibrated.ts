import { type CalibratedPolicyName, type Calibration, type Manifest, TandemError } from '@tandem/shared';
import type { ExitPolicy, PerExit } from './exit-policy.js';
import { entropy, margin, maxProbability } from './threshold-policies.js';

export interface CalibratedOptions {
  /** Weight format of the device stages, `model.format`; thresholds hold for one format. */
  format: string;
  /** Largest share of a text's tokens that may be settled on the device and differ from the whole model's choice. */
  epsilon: number;
  /** Default: the one that settles most on the embedded model. */
  policy?: CalibratedPolicyName;
}

const DEFAULT_POLICY: CalibratedPolicyName = 'margin';

const POLICIES: Record<CalibratedPolicyName, (thresholds: PerExit) => ExitPolicy> = {
  'max-probability': maxProbability,
  margin,
  entropy,
};

/**
 * A policy with a guarantee: thresholds that `tandem calibrate` found for a wished disagreement ε at confidence 1 − δ
 * (Learn then Test, Angelopoulos et al. 2021, which CALM, Schuster et al. 2022, brought to early exits).
 *
 * ```ts
 * const policy = calibrated(model.manifest, { format: model.format, epsilon: 0.02, policy: 'entropy' });
 * ```
 *
 * @throws TandemError INVALID_OPTION when the bundle has no thresholds for this format, ε or policy
 */
export function calibrated(manifest: CalibratedModel, options: CalibratedOptions): ExitPolicy {
  const { format, epsilon, policy = DEFAULT_POLICY } = options;
  const found = findCalibrated(manifest, options);
  if (!found) throw notCalibrated(manifest, options);
  // NaN compares false: an exit without a threshold is never sure.
  const inner = POLICIES[policy](found.thresholds.map((threshold) => threshold ?? Number.NaN));
  return {
    name: `calibrated ${inner.name}, disagreement ${epsilon} in ${format}`,
    isConfident: (evidence) => inner.isConfident(evidence),
  };
}

type CalibratedModel = Pick<Manifest, 'name' | 'calibration'>;

export function findCalibrated(
  { calibration }: CalibratedModel,
  { format, epsilon, policy = DEFAULT_POLICY }: CalibratedOptions,
): Calibration['policies'][number] | undefined {
  return calibration
    ?.find((entry) => entry.format === format)
    ?.policies.find((entry) => entry.policy === policy && entry.epsilon === epsilon);
}

function notCalibrated({ name, calibration = [] }: CalibratedModel, options: CalibratedOptions): TandemError {
  const { format, epsilon, policy = DEFAULT_POLICY } = options;
  const own = calibration.find((entry) => entry.format === format);
  if (!own) {
    const message = `epsilon ${epsilon}: ${name} is not calibrated for ${format}; run "tandem calibrate", or give threshold`;
    return new TandemError('INVALID_OPTION', message);
  }
  const known = own.policies.filter((entry) => entry.policy === policy).map((entry) => entry.epsilon);
  const message = `epsilon ${epsilon}: ${name} is calibrated for ${policy} at ${known.join(', ') || 'none'}; choose one`;
  return new TandemError('INVALID_OPTION', message);
}
