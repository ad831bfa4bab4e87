import { bestDrafts, breakEvenRttMs, PLANNED_RTT_MS_MAX, settledPerRound, verdictOf } from '@tandem/model-kit';
import { type DraftBehaviour, PROFILES, predictMsPerToken, seededRandom } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

const PROFILE = PROFILES['ce-collm-7b']!;
const BEHAVIOUR: DraftBehaviour = {
  acceptance: [0.7, 0.85],
  unsureShare: 0.79,
  epsilon: 0.01,
  rescueShare: 0.45,
  cloudPrice: 0.45,
  bytesPerRow: 8192,
};

describe('settled tokens per round', () => {
  test('counts right drafts up to the first wrong one, and the cloud’s own token', () => {
    // Three drafts: 2 right and a wrong one (3 settled), 3 right (4); the rest could be cut short and does not count.
    const hits = [true, true, false, true, true, true, false, true, false, true].map(Boolean);
    expect(settledPerRound([hits], 3)).toBe(3.5);
    expect(settledPerRound([hits, [true, true]], 3)).toBe(3.5);
    expect(settledPerRound([[false, false, false]], 1)).toBe(1);
    expect(settledPerRound([[]], 4)).toBe(0);
  });

  test('is what independent drafts come to, (1 − aᵏ⁺¹) / (1 − a), however short the texts are', () => {
    const random = seededRandom(5);
    const texts = Array.from({ length: 4_000 }, () => Array.from({ length: 20 }, () => random.next() < 0.8));
    for (const drafts of [1, 4, 8]) {
      const expected = (1 - 0.8 ** (drafts + 1)) / 0.2;
      expect(Math.abs(settledPerRound(texts, drafts) / expected - 1), `${drafts} drafts`).toBeLessThan(0.02);
    }
  });
});

describe('the break-even round trip', () => {
  test('is where the prediction crosses cloud-only', () => {
    const rttMs = breakEvenRttMs('exact', PROFILE, BEHAVIOUR);
    const excess = (at: number) =>
      predictMsPerToken('exact', PROFILE, at, BEHAVIOUR) - predictMsPerToken('cloud-only', PROFILE, at, BEHAVIOUR);
    expect(rttMs).toBeGreaterThan(20);
    expect(excess(rttMs)).toBeLessThanOrEqual(0);
    expect(excess(rttMs + 0.5)).toBeGreaterThan(0);
    expect(breakEvenRttMs('collaborative', PROFILE, BEHAVIOUR)).toBeGreaterThan(rttMs);
  });

  test('is 0 where exits are never right, and the end of the scale where the server is slower than the device', () => {
    expect(breakEvenRttMs('exact', PROFILE, { ...BEHAVIOUR, acceptance: [0, 0] })).toBe(0);
    expect(breakEvenRttMs('device-only', PROFILE, BEHAVIOUR)).toBe(PLANNED_RTT_MS_MAX);
  });
});

test('more drafts pay on longer links, and none where there is nothing to draft with', () => {
  const settled = Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8].map((k) => [k, (1 - 0.85 ** (k + 1)) / 0.15]));
  const best = (rttMs: number) => bestDrafts(settled, PROFILE, rttMs, 8192);
  expect(best(0)).toBeLessThan(best(80));
  expect(bestDrafts({}, PROFILE, 10, 8192)).toBe(0);
});

test.each([
  [
    { breakEvenRttMs: { exact: 40.2, collaborative: 38 }, drafts: 6 },
    'The exits of this model pay below 40 ms: use exact mode with six drafts; above that use cloud-only. At a disagreement of 1 % the device settles 48 % of tokens by itself.',
  ],
  [
    { breakEvenRttMs: { exact: 2.5, collaborative: 3 }, drafts: 1 },
    /^The exits of this model pay below 2.5 ms: use exact mode with one draft; .* Collaborative mode pays below 3 ms\./,
  ],
  [
    { breakEvenRttMs: { exact: 0, collaborative: 0 } },
    /^The exits of this model save no time on any link: use cloud-only/,
  ],
  [
    { breakEvenRttMs: { exact: 1000, collaborative: 1000 } },
    /^The exits of this model pay on every link: use exact mode/,
  ],
  [{ agreement: 0.21 }, /The last exit is right on 21 % of tokens only; “tandem calibrate”/],
  [{ leaving: { epsilon: 0.01, settled: 0 } }, /At a disagreement of 1 % nothing can be settled on the device\.$/],
  [{ exits: [] }, 'This bundle has no exits, so the device cannot draft; use cloud-only, or prepare it with --exits.'],
])('the verdict for %j', (change, words) => {
  const figures = {
    exits: [2, 4],
    agreement: 0.85,
    breakEvenRttMs: { exact: 40, collaborative: 40 },
    drafts: 6,
    leaving: { epsilon: 0.01, settled: 0.484 },
  };
  if (typeof words === 'string') expect(verdictOf({ ...figures, ...change })).toBe(words);
  else expect(verdictOf({ ...figures, ...change })).toMatch(words);
});
