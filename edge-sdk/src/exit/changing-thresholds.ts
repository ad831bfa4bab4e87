import type { ExitEvidence, ExitPolicy, PerExit } from './exit-policy.js';

/**
 * A threshold that starts strict and relaxes: `clip(0.9 λ + 0.1 e^(−τ t / N))`, where t counts generated tokens. Early
 * errors cost more, since everything after them rests on them (CALM, Schuster et al. 2022, section 3.4, with τ = 4).
 * `make` is a policy of a threshold, such as `maxProbability` or `margin`; it is made once.
 */
export function decaying(
  make: (threshold: PerExit) => ExitPolicy,
  { threshold, length, temperature = 4 }: { threshold: number; length: number; temperature?: number },
): ExitPolicy {
  const relaxed = ({ generated }: ExitEvidence) =>
    Math.min(1, Math.max(0, 0.9 * threshold + 0.1 * Math.exp((-temperature * generated) / length)));
  const inner = make(relaxed);
  return {
    name: `decaying ${make(threshold).name} over ${length}`,
    isConfident: (evidence) => inner.isConfident(evidence),
  };
}

/**
 * Strict on a quick link, where asking is cheap, and lenient on a slow one: between the two round trips the threshold
 * moves evenly with the logarithm of the measured one (after SPINN, Laskaridis et al. 2020, which adapts the exit
 * policy to a latency target). Strict while nothing was measured.
 */
export function latencyAware(
  make: (threshold: PerExit) => ExitPolicy,
  {
    strict,
    lenient,
    quickMs = 10,
    slowMs = 300,
  }: { strict: number; lenient: number; quickMs?: number; slowMs?: number },
): ExitPolicy {
  const adapted = ({ roundTripMs = quickMs }: ExitEvidence) => {
    const progress = Math.log(roundTripMs / quickMs) / Math.log(slowMs / quickMs);
    return strict + (lenient - strict) * Math.min(1, Math.max(0, progress));
  };
  const inner = make(adapted);
  return {
    name: `latency-aware ${make(strict).name} to ${lenient}`,
    isConfident: (evidence) => inner.isConfident(evidence),
  };
}
