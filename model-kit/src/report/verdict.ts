import type { PlannedMode } from '@tandem/shared';
import { PLANNED_RTT_MS_MAX } from '../planning/link-plan.js';

/** All that a verdict rests on. */
export interface VerdictFigures {
  /** Layers after which the device can stop. */
  exits: readonly number[];
  /** Agreement of the last exit. */
  agreement: number;
  breakEvenRttMs: Readonly<Record<string, number>>;
  /** Drafts per round that are quickest in the middle of the links on which exact mode pays. */
  drafts: number;
  /** Share that leaves at 1 %, and the disagreement that was measured with it. */
  leaving: { epsilon: number; settled: number };
}

const NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight'];
/** Below this an exit names the right token less often than not. */
const POOR_AGREEMENT = 0.5;

/** Whether the exits of a model are worth having, in a few sentences. */
export function verdictOf(figures: VerdictFigures): string {
  const { exits, agreement, leaving } = figures;
  if (exits.length === 0)
    return 'This bundle has no exits, so the device cannot draft; use cloud-only, or prepare it with --exits.';
  const sentences = [speedSentence(figures)];
  if (agreement < POOR_AGREEMENT) {
    const percent = Math.round(100 * agreement);
    sentences.push(
      `The last exit is right on ${percent} % of tokens only; “tandem calibrate” fits heads without training.`,
    );
  }
  const settled = Math.round(100 * leaving.settled);
  sentences.push(
    settled === 0
      ? `At a disagreement of ${100 * leaving.epsilon} % nothing can be settled on the device.`
      : `At a disagreement of ${100 * leaving.epsilon} % the device settles ${settled} % of tokens by itself.`,
  );
  return sentences.join(' ');
}

function speedSentence({ breakEvenRttMs, drafts }: VerdictFigures): string {
  const exact = payingUpTo(breakEvenRttMs, 'exact');
  const collaborative = payingUpTo(breakEvenRttMs, 'collaborative');
  const use = `use exact mode with ${NUMBERS[drafts] ?? drafts} ${drafts === 1 ? 'draft' : 'drafts'}`;
  if (exact >= PLANNED_RTT_MS_MAX) return `The exits of this model pay on every link: ${use}.`;
  const better =
    collaborative > exact
      ? ` Collaborative mode pays ${collaborative >= PLANNED_RTT_MS_MAX ? 'on every link' : `below ${round(collaborative)} ms`}.`
      : '';
  if (exact > 0)
    return `The exits of this model pay below ${round(exact)} ms: ${use}; above that use cloud-only.${better}`;
  return `The exits of this model save no time on any link: use cloud-only, or exact mode to save server time.${better}`;
}

function payingUpTo(breakEvenRttMs: Readonly<Record<string, number>>, mode: PlannedMode): number {
  return breakEvenRttMs[mode] ?? 0;
}

function round(rttMs: number): number {
  return rttMs < 10 ? rttMs : Math.round(rttMs);
}
