import {
  type CalibratedPolicyName,
  type DraftBehaviour,
  type Manifest,
  type Profile,
  type RowCodecName,
  rowCodec,
  stepMs,
} from '@tandem/shared';
import type { ObservedText } from '../calibration/observed-text.js';
import { breakEvenRttMs, planLink } from '../planning/link-plan.js';
import { exitDoubts, exitWorth } from './exit-figures.js';
import { type CalibratedLeaving, leavingFigures } from './exit-thresholds.js';
import type { SuitabilityReport } from './suitability-report.js';
import { verdictOf } from './verdict.js';

export interface Observations {
  manifest: Manifest;
  format: string;
  codec: RowCodecName;
  policy: CalibratedPolicyName;
  text: { name: string };
  observed: readonly ObservedText[];
  profile: Profile;
  cloudPrice: number;
}

type Conclusions = Pick<
  SuitabilityReport,
  'exits' | 'settledPerRound' | 'breakEvenRttMs' | 'verdict' | 'predicted' | 'thresholds' | 'behaviour'
>;

const RTTS_MS = [0, 5, 10, 20, 40, 60, 80, 100, 150, 200];
/** Disagreement that collaborative mode is predicted with, a session’s default. */
const EPSILON = 0.01;

/** All figures that follow from what exits said and from stage times; nothing is run any more. */
export function conclude(observations: Observations): Conclusions {
  const { manifest, codec, policy, text, observed, profile, cloudPrice } = observations;
  const { source, leaving } = leavingFigures(observed, { ...observations, textName: text.name });
  const exits = manifest.exits.map((layer, exit) => ({
    stage: manifest.stages.findIndex(({ to }) => to === layer) + 1,
    layer,
    ...exitWorth(observed, exit),
    leaving: byEpsilon(leaving, ({ byExit }) => byExit[exit]!),
  }));
  const behaviour: DraftBehaviour = {
    acceptance: exits.map(({ agreement }) => agreement),
    ...exitDoubts(observed),
    epsilon: EPSILON,
    cloudPrice,
    bytesPerRow: rowCodec(codec).bytesPerRow(profile.width),
  };
  const breakEven = {
    exact: breakEvenRttMs('exact', profile, behaviour),
    collaborative: breakEvenRttMs('collaborative', profile, behaviour),
  };
  const settled = byEpsilon(leaving, ({ byExit }) => byExit.reduce((sum, share) => sum + share, 0));
  const settledPerRound = exits.at(-1)?.settledPerRound ?? {};
  return {
    exits,
    settledPerRound,
    breakEvenRttMs: breakEven,
    verdict: verdictOf({
      exits: manifest.exits,
      agreement: exits.at(-1)?.agreement ?? 0,
      breakEvenRttMs: breakEven,
      drafts: bestDrafts(settledPerRound, profile, breakEven.exact / 2, behaviour.bytesPerRow),
      leaving: { epsilon: EPSILON, settled: settled[EPSILON] ?? 0 },
    }),
    predicted: RTTS_MS.map((rttMs) => planLink(profile, rttMs, behaviour)).map(({ costs, ...plan }) => plan),
    thresholds: {
      policy,
      source,
      settled,
      disagreement: byEpsilon(leaving, ({ disagreement }) => disagreement),
    },
    behaviour,
  };
}

function byEpsilon(
  leaving: readonly CalibratedLeaving[],
  figure: (leaving: CalibratedLeaving) => number,
): Record<string, number> {
  return Object.fromEntries(leaving.map((entry) => [entry.epsilon, figure(entry)]));
}

/** The draft length that settles most tokens per millisecond when a round is its drafts and then a wait for the verdict. */
export function bestDrafts(
  settledPerRound: Readonly<Record<string, number>>,
  { deviceStageMs, cloudTailMs, furtherRowShare, link }: Profile,
  rttMs: number,
  bytesPerRow: number,
): number {
  const draftMs = deviceStageMs.reduce((sum, ms) => sum + ms, 0);
  const rates = Object.entries(settledPerRound).map(([length, settled]) => {
    const drafts = Number(length);
    const uploadMs = (1000 * drafts * bytesPerRow) / link.upBytesPerS;
    const roundMs = drafts * draftMs + rttMs + uploadMs + stepMs(cloudTailMs, drafts, furtherRowShare.cloud);
    return { drafts, rate: settled / roundMs };
  });
  return rates.reduce((best, entry) => (entry.rate > best.rate ? entry : best), { drafts: 0, rate: 0 }).drafts;
}
