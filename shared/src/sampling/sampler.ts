import { GUMBEL_MAX, HASH_BELOW, noiseHash, noiseKey, noiseOf } from './gumbel-noise.js';
import type { SamplingSettings } from './settings.js';

/** The token for `position`: the first of `chooseRanked`. */
export function chooseToken(logits: Float32Array, settings: SamplingSettings, position: number): number {
  return settings.temperature === 0 ? argmax(logits) : chooseRanked(logits, settings, position).token;
}

/**
 * Chooses the token for `position` from `logits (vocabularySize)`, and the one that comes second: a pure function of its
 * arguments, the same on device and server. Ties go to the lowest token id. Allocates nothing per vocabulary entry unless
 * topK or topP ask for an order (see `keepThreshold`). `second` equals `token` where only one token may be chosen.
 */
export function chooseRanked(logits: Float32Array, settings: SamplingSettings, position: number): RankedChoice {
  if (settings.temperature === 0) return rank(logits);
  const keep = keepThreshold(logits, settings);
  const key = noiseKey(settings.seed, position);
  const inverseTemperature = 1 / settings.temperature;
  let best = -Infinity;
  let next = -Infinity;
  let choice = -1;
  let second = -1;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (!(logit >= keep)) continue;
    const scaled = logit * inverseTemperature;
    // Most of the vocabulary is too far behind for any noise, and most of the rest for its own: skip two logarithms.
    const behind = next - scaled;
    if (behind >= GUMBEL_MAX) continue;
    const hash = noiseHash(key, token);
    if (behind > NEAR && hash < HASH_BELOW[Math.floor(behind - NEAR)]!) continue;
    const noisy = scaled + noiseOf(hash);
    if (noisy > best) {
      next = best;
      second = choice;
      best = noisy;
      choice = token;
    } else if (noisy > next) {
      next = noisy;
      second = token;
    }
  }
  // Only reached with logits that are all NaN or −∞: fall back to a defined answer.
  if (choice === -1) return rank(logits);
  return { token: choice, second: second === -1 ? choice : second };
}

/** Sums of floats round: what is nearer to the next whole number than this counts as below it. */
const NEAR = 1e-3;

export interface RankedChoice {
  token: number;
  second: number;
}

/** The two largest; the lowest index on ties, 0 if all are NaN. */
function rank(logits: Float32Array): RankedChoice {
  const token = argmax(logits);
  let best = -Infinity;
  let second = token;
  for (let other = 0; other < logits.length; other++) {
    const logit = logits[other]!;
    if (logit > best && other !== token) {
      best = logit;
      second = other;
    }
  }
  return { token, second };
}

/** Index of the largest number; the lowest one on ties, 0 if all are NaN. */
export function argmax(logits: Float32Array): number {
  let best = -Infinity;
  let choice = 0;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (logit > best) {
      best = logit;
      choice = token;
    }
  }
  return choice;
}

/** The smallest logit that topK, topP and minP let through. All three keep a prefix of the descending order. */
function keepThreshold(logits: Float32Array, settings: SamplingSettings): number {
  const { topK, topP, minP, temperature } = settings;
  const limitsCount = topK > 0 && topK < logits.length;
  let threshold = minP > 0 ? logits[argmax(logits)]! + Math.log(minP) * temperature : -Infinity;
  if (!limitsCount && topP >= 1) return threshold;
  // A sort puts NaN last, so it would come out as the likeliest.
  const descending = logits
    .filter((logit) => !Number.isNaN(logit))
    .sort()
    .reverse();
  const kept = limitsCount ? descending.subarray(0, topK) : descending;
  if (limitsCount) threshold = Math.max(threshold, kept.at(-1) ?? -Infinity);
  if (topP < 1) threshold = Math.max(threshold, nucleusThreshold(kept, topP, temperature));
  return threshold;
}

/** Nucleus sampling (Holtzman et al. 2020): the logit at which the cumulated probability first reaches topP. */
function nucleusThreshold(descending: Float32Array, topP: number, temperature: number): number {
  const highest = descending[0]!;
  let total = 0;
  for (const logit of descending) total += Math.exp((logit - highest) / temperature);
  let cumulated = 0;
  for (const logit of descending) {
    cumulated += Math.exp((logit - highest) / temperature);
    if (cumulated >= topP * total) return logit;
  }
  return -Infinity;
}
