/** What an exit's logits say about how sure they are. Always of the model's own distribution (temperature 1). */
export interface Evidence {
  /** The likeliest token and its probability. */
  top: number;
  maxProbability: number;
  /** Probability of the likeliest token minus that of the second. */
  margin: number;
  /** Shannon entropy in nats, in [0, ln(vocabularySize)]. */
  entropy: number;
  /** The second likeliest token: the first guess when the likeliest proves wrong. */
  second: number;
}

/** One pass for the top two, one for the sums; `logits (vocabularySize)`. */
export function gatherEvidence(logits: Float32Array): Evidence {
  let top = 0;
  let second = -1;
  let highest = -Infinity;
  let next = -Infinity;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (logit > highest) {
      next = highest;
      second = top;
      highest = logit;
      top = token;
    } else if (logit > next) {
      next = logit;
      second = token;
    }
  }
  let sum = 0;
  let weighted = 0;
  for (let token = 0; token < logits.length; token++) {
    const shifted = logits[token]! - highest;
    // e^-40 changes no sum that a float can hold; skipping saves the exponential.
    if (!(shifted > -40)) continue;
    const weight = Math.exp(shifted);
    sum += weight;
    weighted += weight * shifted;
  }
  // Logits that are all NaN, or infinite: a broken engine is sure of nothing.
  if (sum === 0) return { top, second: top, maxProbability: 0, margin: 0, entropy: Math.log(logits.length) };
  // H = ln Σe^x − Σ x e^x / Σe^x, with x shifted by the highest logit.
  return {
    top,
    second: second < 0 ? top : second,
    maxProbability: 1 / sum,
    margin: (1 - Math.exp(next - highest)) / sum,
    entropy: Math.log(sum) - weighted / sum,
  };
}

/** Of logits that nobody asked about. */
export const NO_EVIDENCE: Evidence = { top: 0, second: 0, maxProbability: 0, margin: 0, entropy: 0 };
