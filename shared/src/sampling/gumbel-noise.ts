/**
 * Noise that device and server agree on without talking: a hash of (seed, position, token id).
 *
 * Gumbel-max: `argmax(logit/T + g)` with independent standard Gumbel `g` is a draw from softmax(logit/T)
 * (Gumbel 1954; Maddison et al. 2014, "A* sampling"). With the noise fixed per position, a draft and its
 * verification draw alike wherever their logits are alike, and a draw does not depend on how many were made before.
 */

/** No noise value is larger: −ln(−ln(1 − 2^-33)) = 22.87…; candidates further behind cannot win. */
export const GUMBEL_MAX = 22.88;

/** Mixes seed and position once per draw, so that the loop over the vocabulary hashes only the token id. */
export function noiseKey(seed: number, position: number): number {
  return mix(mix(seed >>> 0) ^ Math.imul(position + 1, 0x9e3779b1));
}

/** Standard Gumbel noise of one token id. */
export function gumbelNoise(key: number, token: number): number {
  return noiseOf(noiseHash(key, token));
}

/** What the noise of a token is made of: an integer in [0, 2^32), and the noise grows with it. */
export function noiseHash(key: number, token: number): number {
  return mix(mix(Math.imul(token + 1, 0x85ebca77) + key) ^ key) >>> 0;
}

export function noiseOf(hash: number): number {
  // (hash + ½) / 2^32 is never 0 or 1, so both logarithms are finite.
  return -Math.log(-Math.log((hash + 0.5) / 4294967296));
}

/**
 * `HASH_BELOW[k]`: with a smaller hash the noise is below `k`, for k = 0 … 22; by e^(−e^−k), rounded to the safe side. So a
 * comparison of integers says of most tokens that they cannot win, and the two logarithms are taken for a few.
 */
export const HASH_BELOW: Float64Array = Float64Array.from(
  { length: 23 },
  (_, k) => Math.floor((Math.exp(-Math.exp(-k)) - 1e-12) * 4294967296) - 1,
);

/** "lowbias32" finaliser (C. Wellons, hash-prospector): bias 0.17, full avalanche. */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}
