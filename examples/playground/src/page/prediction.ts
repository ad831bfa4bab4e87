import type { GenerationResult } from '@tandem/edge';
import type { LinkFigures } from './link-panel.js';

/** What a token cost in a story that was told, without the link: from it follows what it would cost on another one. */
export interface Cost {
  deviceMs: number;
  cloudMs: number;
  roundTrips: number;
  bytesUp: number;
  bytesDown: number;
}

/** Figures per token. `undefined` for a story without tokens. */
export function costOf({ tokens, timings, transfer }: GenerationResult): Cost | undefined {
  const count = tokens.length;
  if (count === 0) return undefined;
  return {
    deviceMs: timings.deviceMs / count,
    cloudMs: timings.cloudMs / count,
    roundTrips: transfer.roundTrips / count,
    bytesUp: transfer.bytesUp / count,
    bytesDown: transfer.bytesDown / count,
  };
}

/**
 * The same story with the device deciding wherever it is as sure as `threshold`: only the rest needs a round trip, and no more
 * of them than drafts that are verified together need.
 */
export function collaborativeCost(told: Cost, confidences: readonly number[], threshold: number): Cost {
  const unsure = confidences.filter((confidence) => confidence < threshold).length;
  const roundTrips = Math.min(told.roundTrips, unsure / Math.max(1, confidences.length));
  const share = told.roundTrips > 0 ? roundTrips / told.roundTrips : 0;
  // Rows of tokens that the device decides go up with the next one that it does not.
  return { ...told, roundTrips, cloudMs: told.cloudMs * share, bytesDown: told.bytesDown * share };
}

/**
 * `device + round trips · (RTT + jitter) + bytes / rate + cloud`, per token. Nothing overlaps in it, so it is what a story costs
 * at most; jitter is drawn uniformly per way, hence once its size per round trip.
 */
export function predictedMsPerToken(cost: Cost, { rttMs, jitterMs, upBytesPerS, downBytesPerS }: LinkFigures): number {
  const transferMs = (1000 * cost.bytesUp) / upBytesPerS + (1000 * cost.bytesDown) / downBytesPerS;
  return cost.deviceMs + cost.roundTrips * (rttMs + jitterMs) + transferMs + cost.cloudMs;
}
