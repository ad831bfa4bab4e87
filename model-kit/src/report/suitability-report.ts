import type { CalibratedPolicyName, DraftBehaviour, Format, Profile, RowCodecName } from '@tandem/shared';
import type { LinkPlan } from '../planning/link-plan.js';
import type { CodecFigures } from './codec-figures.js';
import type { FormatFigures } from './format-figures.js';

/** What `tandem report --json` prints: is a bundle worth splitting? Shares lie between 0 and 1. */
export interface SuitabilityReport {
  exits: ExitReport[];
  /** Of the last exit, by draft length. */
  settledPerRound: Record<string, number>;
  /** The widest first: the others are compared with it. */
  formats: FormatFigures[];
  codecs: CodecFigures[];
  /** Up to which round trip a mode is predicted to be at least as fast as cloud-only; 0 where it never is. */
  breakEvenRttMs: Record<'exact' | 'collaborative', number>;
  verdict: string;
  predicted: Pick<LinkPlan, 'rttMs' | 'msPerToken' | 'best' | 'draftsPerForward'>[];
  thresholds: ThresholdReport;
  /** What was predicted with. */
  behaviour: DraftBehaviour;
  profile: Profile;
  text: { name: string; texts: number; tokens: number };
  model: { name: string; architecture: string; layers: number; width: number; cut: number; fingerprint: string };
  /** Of exits, codecs and times. */
  format: Format;
  codec: RowCodecName;
  machine: string;
}

export interface ExitReport {
  /** Device stages up to it, counted from 1. */
  stage: number;
  /** Layer after which the device can stop. */
  layer: number;
  /** Share of tokens on which it names the whole model’s choice. */
  agreement: number;
  /** Share of all tokens that leaves here, by ε. */
  leaving: Record<string, number>;
  settledPerRound: Record<string, number>;
}

export interface ThresholdReport {
  policy: CalibratedPolicyName;
  /** Where the thresholds come from, in words. */
  source: string;
  /** By ε: share of all tokens that leaves at any exit, and share that leaves and is not the whole model’s choice. */
  settled: Record<string, number>;
  disagreement: Record<string, number>;
}
