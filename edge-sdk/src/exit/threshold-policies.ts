import { describe, type ExitPolicy, forExit, type PerExit } from './exit-policy.js';

/** The likeliest token has at least this probability. CE-CoLLM (2024, section IV) takes 0.8; calibrate instead. */
export function maxProbability(thresholds: PerExit): ExitPolicy {
  return {
    name: `max probability ${describe(thresholds)}`,
    isConfident: (evidence) => evidence.maxProbability >= forExit(thresholds, evidence),
  };
}

/** The likeliest token leads the second by this probability (softmax response; CALM, Schuster et al. 2022, section 3.5). */
export function margin(thresholds: PerExit): ExitPolicy {
  return {
    name: `margin ${describe(thresholds)}`,
    isConfident: (evidence) => evidence.margin >= forExit(thresholds, evidence),
  };
}

/** The distribution has at most this entropy in nats (BranchyNet, Teerapittayanon et al. 2016). */
export function entropy(ceilings: PerExit): ExitPolicy {
  return {
    name: `entropy ${describe(ceilings)}`,
    isConfident: (evidence) => evidence.entropy <= forExit(ceilings, evidence),
  };
}

/**
 * The mean entropy of this and the `window - 1` tokens before it is at most this many nats: a hard passage is handed
 * over as a whole (Entropy Adaptive Decoding, Simonds 2025).
 */
export function rollingEntropy(ceilings: PerExit, window = 4): ExitPolicy {
  return {
    name: `rolling entropy ${describe(ceilings)} over ${window}`,
    isConfident(evidence) {
      const { entropy, recentEntropies } = evidence;
      const before = Math.min(window - 1, recentEntropies.length);
      let sum = entropy;
      for (let back = 1; back <= before; back++) sum += recentEntropies[recentEntropies.length - back]!;
      return sum / (before + 1) <= forExit(ceilings, evidence);
    },
  };
}
