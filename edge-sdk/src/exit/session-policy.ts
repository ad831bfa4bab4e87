import type { Manifest } from '@tandem/shared';
import { calibrated, findCalibrated } from './calibrated.js';
import type { Mode } from './decision.js';
import type { ExitPolicy, PerExit } from './exit-policy.js';
import { maxProbability } from './threshold-policies.js';

/** Exit threshold where the bundle brings none: CE-CoLLM's, strict for most models. */
const DEFAULT_THRESHOLD = 0.8;
const DEFAULT_EPSILON = 0.01;

export interface PolicyChoice {
  mode: Mode;
  policy?: ExitPolicy | undefined;
  threshold?: PerExit | undefined;
  epsilon?: number | undefined;
}

/**
 * The exit policy of a session: what the caller gave, else the bundle's calibrated one, else a fixed threshold.
 *
 * @throws TandemError INVALID_OPTION when the bundle is not calibrated for the wished `epsilon`
 */
export function sessionPolicy(choice: PolicyChoice, manifest: Manifest, format: string): ExitPolicy {
  const { mode, policy, threshold, epsilon } = choice;
  if (policy) return policy;
  if (threshold !== undefined) return maxProbability(threshold);
  if (epsilon !== undefined) return calibrated(manifest, { format, epsilon });
  // The other modes settle nothing on the device's word alone; their threshold only chooses an exit to draft from.
  const isCalibrated = findCalibrated(manifest, { format, epsilon: DEFAULT_EPSILON }) !== undefined;
  if (mode === 'collaborative' && isCalibrated) return calibrated(manifest, { format, epsilon: DEFAULT_EPSILON });
  return maxProbability(DEFAULT_THRESHOLD);
}
