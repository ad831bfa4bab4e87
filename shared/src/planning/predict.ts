import { type DecodeCosts, draftThreshold, sendThreshold } from './decode-costs.js';
import { type Profile, stepMs } from './profile.js';

/** Modes that can be planned for; the last one is what Tandem is held against. */
export type PlannedMode = 'exact' | 'collaborative' | 'device-only' | 'cloud-only' | 'ce-collm';

/** What a model's exits are worth, as `tandem report` and the benchmarks measure it. */
export interface DraftBehaviour {
  /** Share of drafts that are right, by device stage. */
  acceptance: readonly number[];
  /** Share of tokens that no exit is sure of at a probability of 0.8. */
  unsureShare: number;
  /** Disagreement that collaborative mode was calibrated for. */
  epsilon: number;
  /** Of the first exit's wrong drafts the next one puts right this share. */
  rescueShare: number;
  cloudPrice: number;
  /** Bytes of one row on the wire. */
  bytesPerRow: number;
}

/**
 * Milliseconds per token in the long run, by mode. A rough model of the decode loop, for plans: text comes in runs, each
 * ended by a mismatch, and a run costs
 *
 *     its drafts  +  the wrong draft's wait to be sent  +  round trip, upload and verification  +  half a draft under way
 *
 * Branches and the variance of run lengths are left out. bench decode measures what this predicts.
 */
export function predictMsPerToken(
  mode: PlannedMode,
  profile: Profile,
  rttMs: number,
  behaviour: DraftBehaviour,
): number {
  const { deviceStageMs, cloudStageMs, cloudTailMs } = profile;
  switch (mode) {
    case 'device-only':
      return sum(deviceStageMs);
    case 'cloud-only':
      return sum(cloudStageMs) + cloudTailMs;
    case 'ce-collm':
      return sum(deviceStageMs) + behaviour.unsureShare * (rttMs + cloudTailMs);
    case 'exact':
      return runMsPerToken(profile, rttMs, behaviour, wrongShare(profile, rttMs, behaviour));
    case 'collaborative':
      return runMsPerToken(
        profile,
        rttMs,
        behaviour,
        Math.max(0.001, wrongShare(profile, rttMs, behaviour) - behaviour.epsilon),
      );
  }
}

/** What the decode loop would weigh on this profile and link. */
export function plannedCosts(profile: Profile, rttMs: number, behaviour: DraftBehaviour): DecodeCosts {
  const [first = 0] = profile.deviceStageMs;
  return {
    draftMs: first + (1 - earlyShare(profile, rttMs, behaviour)) * (sum(profile.deviceStageMs) - first),
    deeperMs: sum(profile.deviceStageMs) - first,
    rescueShare: behaviour.rescueShare,
    roundTripMs: rttMs,
    forwardMs: profile.cloudTailMs,
    cloudPrice: behaviour.cloudPrice,
  };
}

/** Drafts in a forward: so many that the chance that all are right falls to the threshold. */
export function plannedDraftsPerForward(profile: Profile, rttMs: number, behaviour: DraftBehaviour): number {
  const right = 1 - wrongShare(profile, rttMs, behaviour);
  return Math.max(1, Math.log(sendThreshold(plannedCosts(profile, rttMs, behaviour))) / Math.log(right));
}

function runMsPerToken(profile: Profile, rttMs: number, behaviour: DraftBehaviour, wrong: number): number {
  const { draftMs } = plannedCosts(profile, rttMs, behaviour);
  const drafts = plannedDraftsPerForward(profile, rttMs, behaviour);
  const uploadMs = (1000 * drafts * behaviour.bytesPerRow) / profile.link.upBytesPerS;
  const verifyMs = stepMs(profile.cloudTailMs, drafts, profile.furtherRowShare.cloud);
  const tokensPerRun = 1 / wrong;
  const runMs = tokensPerRun * draftMs + ((drafts - 1) / 2) * draftMs + rttMs + uploadMs + verifyMs + draftMs / 2;
  return runMs / tokensPerRun;
}

/** Share of drafts that a verdict corrects, with early drafts where they pay. */
function wrongShare(profile: Profile, rttMs: number, behaviour: DraftBehaviour): number {
  const { acceptance } = behaviour;
  const early = earlyShare(profile, rttMs, behaviour);
  // Early drafts are the sure ones: they are wrong about half as often, beyond what the last exit gets wrong, as all are.
  const excess = Math.max(0, (acceptance.at(-1) ?? 0) - (acceptance[0] ?? 0));
  return Math.min(1, Math.max(0.001, 1 - (acceptance.at(-1) ?? 0) + (early * early * excess) / 2));
}

/** Share of tokens drafted at the first exit. Its chances are taken as spread evenly around their mean. */
function earlyShare({ deviceStageMs, cloudTailMs }: Profile, rttMs: number, behaviour: DraftBehaviour): number {
  const first = behaviour.acceptance[0] ?? 0;
  if (deviceStageMs.length < 2) return 1;
  const threshold = draftThreshold({
    draftMs: 0,
    deeperMs: sum(deviceStageMs.slice(1)),
    rescueShare: behaviour.rescueShare,
    roundTripMs: rttMs,
    forwardMs: cloudTailMs,
    cloudPrice: behaviour.cloudPrice,
  });
  const lowest = Math.max(0, 2 * first - 1);
  return threshold >= 1 ? 0 : Math.min(1, (1 - Math.max(lowest, threshold)) / (1 - lowest));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
