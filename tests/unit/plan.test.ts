import {
  type DraftBehaviour,
  PROFILES,
  plannedCosts,
  plannedDraftsPerForward,
  predictMsPerToken,
} from '@tandem/shared';
import { describe, expect, test } from 'vitest';

const PROFILE = PROFILES['ce-collm-7b']!;
const BEHAVIOUR: DraftBehaviour = {
  acceptance: [0.7, 0.85],
  unsureShare: 0.79,
  epsilon: 0.01,
  rescueShare: 0.45,
  cloudPrice: 0.4,
  bytesPerRow: 8192,
};
const exact = (rttMs: number, change: Partial<DraftBehaviour> = {}) =>
  predictMsPerToken('exact', PROFILE, rttMs, { ...BEHAVIOUR, ...change });

describe('the predicted cost per token', () => {
  test('is that of the profile where no link is involved', () => {
    expect(predictMsPerToken('device-only', PROFILE, 80, BEHAVIOUR)).toBe(19);
    expect(predictMsPerToken('cloud-only', PROFILE, 80, BEHAVIOUR)).toBe(37);
    // CE-CoLLM stalls for a round trip and a tail at every unsure token.
    expect(predictMsPerToken('ce-collm', PROFILE, 80, BEHAVIOUR)).toBeCloseTo(19 + 0.79 * 103, 9);
  });

  test('agrees with what the loop was measured to take, within a fifth', () => {
    for (const [rttMs, measured] of [
      [20, 30.3],
      [60, 36.1],
      [80, 39.5],
    ] as const) {
      expect(Math.abs(exact(rttMs) / measured - 1), `${rttMs} ms: ${exact(rttMs)}`).toBeLessThan(0.2);
    }
  });

  test('grows with the link, shrinks with better exits, smaller rows and tolerance', () => {
    expect(exact(80)).toBeGreaterThan(exact(20));
    expect(exact(80, { acceptance: [0.8, 0.92] })).toBeLessThan(exact(80));
    expect(exact(80, { bytesPerRow: 2448 })).toBeLessThan(exact(80));
    expect(predictMsPerToken('collaborative', PROFILE, 80, BEHAVIOUR)).toBeLessThan(exact(80));
    expect(exact(80, { acceptance: [0, 0] })).toBeGreaterThan(100);
  });

  test('makes larger forwards where the server is dear, and drafts early where the link is quick', () => {
    const drafts = (cloudPrice: number) => plannedDraftsPerForward(PROFILE, 80, { ...BEHAVIOUR, cloudPrice });
    expect(drafts(0)).toBe(1);
    expect(drafts(2)).toBeGreaterThan(drafts(0.4));
    expect(plannedCosts(PROFILE, 5, BEHAVIOUR).draftMs).toBeLessThan(plannedCosts(PROFILE, 300, BEHAVIOUR).draftMs);
  });
});
