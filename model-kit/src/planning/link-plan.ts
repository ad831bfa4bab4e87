import {
  type DecodeCosts,
  type DraftBehaviour,
  type PlannedMode,
  type Profile,
  plannedCosts,
  plannedDraftsPerForward,
  predictMsPerToken,
} from '@tandem/shared';

/** Modes that are planned for, the baseline last. */
export const PLANNED_MODES: readonly PlannedMode[] = [
  'exact',
  'collaborative',
  'cloud-only',
  'device-only',
  'ce-collm',
];

/** What the cost model of the decode loop expects on one link. */
export interface LinkPlan {
  rttMs: number;
  msPerToken: Record<PlannedMode, number>;
  /** The quickest of those that keep what they promise about the text. */
  best: PlannedMode;
  costs: DecodeCosts;
  draftsPerForward: number;
}

export function planLink(profile: Profile, rttMs: number, behaviour: DraftBehaviour): LinkPlan {
  const msPerToken = Object.fromEntries(
    PLANNED_MODES.map((mode) => [mode, predictMsPerToken(mode, profile, rttMs, behaviour)]),
  ) as Record<PlannedMode, number>;
  // Device-only promises another text, so it is no rival for the best way to the same one.
  const rivals = PLANNED_MODES.filter((mode) => mode !== 'device-only' && mode !== 'ce-collm');
  const best = rivals.reduce((least, mode) => (msPerToken[mode] < msPerToken[least] ? mode : least));
  const costs = plannedCosts(profile, rttMs, behaviour);
  return { rttMs, msPerToken, best, costs, draftsPerForward: plannedDraftsPerForward(profile, rttMs, behaviour) };
}

/** Nobody talks to a server on longer links than this. */
export const PLANNED_RTT_MS_MAX = 1_000;
const STEP_MS = 0.5;

/**
 * Up to which round trip a mode is predicted to be at least as fast as cloud-only, to half a millisecond: 0 where it is on
 * no link, `PLANNED_RTT_MS_MAX` where it is on every one. Step by step from the shortest link, because where the first exit
 * begins to pay the prediction has a bend.
 */
export function breakEvenRttMs(mode: PlannedMode, profile: Profile, behaviour: DraftBehaviour): number {
  let paysUpTo = 0;
  for (let rttMs = 0; rttMs <= PLANNED_RTT_MS_MAX; rttMs += STEP_MS) {
    const cloudOnlyMs = predictMsPerToken('cloud-only', profile, rttMs, behaviour);
    if (predictMsPerToken(mode, profile, rttMs, behaviour) > cloudOnlyMs) break;
    paysUpTo = rttMs;
  }
  return paysUpTo;
}
