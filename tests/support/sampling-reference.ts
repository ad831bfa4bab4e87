import { gumbelNoise, noiseKey, type SamplingSettings } from '@tandem/shared';

/** The sampler as one would write it on a blackboard: full sorts, no pruning, no thresholds. */

/** Ids that temperature, topK, topP and minP let through, in this order; ties at a limit stay in together. */
export function keptTokens(
  logits: readonly number[],
  { temperature, topK, topP, minP }: SamplingSettings,
): Set<number> {
  const order = logits.map((_, token) => token).filter((token) => !Number.isNaN(logits[token]!));
  order.sort((a, b) => logits[b]! - logits[a]! || a - b);
  let last = logits[order[Math.min(topK || order.length, order.length) - 1]!]!;
  const highest = logits[order[0]!]!;
  const kept = order.slice(0, topK || order.length);
  const weights = kept.map((token) => Math.exp((logits[token]! - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let cumulated = 0;
  for (const [i, token] of kept.entries()) {
    if (topP === 1) break;
    cumulated += weights[i]!;
    if (cumulated < topP * total) continue;
    last = Math.max(last, logits[token]!);
    break;
  }
  const floor = minP > 0 ? highest + Math.log(minP) * temperature : -Infinity;
  return new Set(order.filter((token) => logits[token]! >= last && logits[token]! >= floor));
}

/** Gumbel-max over the kept tokens, every one of them; `without` one of them, if told. */
export function chooseSlowly(
  logits: Float32Array,
  settings: SamplingSettings,
  position: number,
  without?: number,
): number {
  const kept = keptTokens([...logits], settings);
  if (without !== undefined && kept.size > 1) kept.delete(without);
  const key = noiseKey(settings.seed, position);
  let best = -Infinity;
  let choice = -1;
  for (const token of [...kept].sort((a, b) => a - b)) {
    const noisy = logits[token]! * (1 / settings.temperature) + gumbelNoise(key, token);
    if (noisy > best) {
      best = noisy;
      choice = token;
    }
  }
  return choice === -1 ? 0 : choice;
}
