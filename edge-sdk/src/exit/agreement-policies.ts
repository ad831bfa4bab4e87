import { describe, type ExitPolicy, forExit, type PerExit } from './exit-policy.js';

/** The last `exits` exits name the same token (PABEE, Zhou et al. 2020). Exits before that are never sure. */
export function patience(exits: number): ExitPolicy {
  return {
    name: `patience ${exits}`,
    isConfident({ top, earlier }) {
      if (earlier.length < exits - 1) return false;
      for (let back = 1; back < exits; back++) if (earlier[earlier.length - back]!.top !== top) return false;
      return true;
    },
  };
}

/**
 * The row hardly turned in the exit's last stage: cosine between its states before and after is at least this
 * (hidden-state saturation; CALM, Schuster et al. 2022, section 3.5). The first exit has no state before it that is a row.
 */
export function saturation(cosines: PerExit): ExitPolicy {
  return {
    name: `saturation ${describe(cosines)}`,
    isConfident: (evidence) => evidence.rowSimilarity >= forExit(cosines, evidence),
  };
}
