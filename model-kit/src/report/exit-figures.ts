import type { CalibratedPolicyName } from '@tandem/shared';
import type { ObservedText } from '../calibration/observed-text.js';
import { NEVER, scoreText } from '../calibration/scores.js';

/** Draft lengths that are reported. */
export const DRAFT_LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8] as const;

/** Probability from which on CE-CoLLM, and a session without calibrated thresholds, takes an exit's word. */
const SURE = 0.8;

/** What exits are worth without any threshold, from what they said beside the whole model. */
export interface ExitWorth {
  /** Share of tokens on which the exit names the whole model's choice. */
  agreement: number;
  /** Settled tokens per round, by draft length. */
  settledPerRound: Record<string, number>;
}

export function exitWorth(texts: readonly ObservedText[], exit: number): ExitWorth {
  const hits = texts.map(({ truth, exits }) => exits[exit]!.map(({ evidence }, i) => evidence.top === truth[i]));
  const all = hits.flat();
  return {
    agreement: share(all.filter(Boolean).length, all.length),
    settledPerRound: Object.fromEntries(DRAFT_LENGTHS.map((drafts) => [drafts, settledPerRound(hits, drafts)])),
  };
}

/**
 * Mean of `right drafts + 1` over rounds of `drafts` drafts, as in speculative decoding (Leviathan et al. 2023): drafts count
 * up to the first wrong one, and the cloud's own token comes behind it or behind the last draft. Rounds follow one another
 * along each text. One that the end of its text could cut short does not count, whatever came of it: else short rounds
 * would count more often than long ones.
 */
export function settledPerRound(texts: readonly (readonly boolean[])[], drafts: number): number {
  let rounds = 0;
  let settled = 0;
  for (const hits of texts) {
    for (let at = 0; at + drafts < hits.length; rounds++) {
      let right = 0;
      while (right < drafts && hits[at + right]) right++;
      settled += right + 1;
      at += right + 1;
    }
  }
  return share(settled, rounds);
}

/** Share of tokens that no exit is sure of, and share of the first exit's wrong drafts that the last one puts right. */
export function exitDoubts(texts: readonly ObservedText[]): { unsureShare: number; rescueShare: number } {
  let tokens = 0;
  let unsure = 0;
  let wrong = 0;
  let rescued = 0;
  for (const { truth, exits } of texts) {
    for (const [i, token] of truth.entries()) {
      tokens++;
      const words = exits.map((exit) => exit[i]!.evidence);
      if (words.every(({ maxProbability }) => maxProbability < SURE)) unsure++;
      if (words[0]?.top === token) continue;
      wrong++;
      if (words.at(-1)?.top === token) rescued++;
    }
  }
  return { unsureShare: share(unsure, tokens), rescueShare: share(rescued, wrong) };
}

/** What settles where under thresholds, which are scores that rise with sureness. */
export interface Leaving {
  /** Share of all tokens that leaves at each exit, first exit first. */
  byExit: number[];
  /** Share of all tokens that leaves and is not the whole model's choice. */
  disagreement: number;
}

export function leavingUnder(
  texts: readonly ObservedText[],
  policy: CalibratedPolicyName,
  scores: readonly number[],
): Leaving {
  const counts = scores.map(() => 0);
  let wrong = 0;
  let tokens = 0;
  for (const text of texts) {
    const scored = scoreText(text, policy);
    tokens += scored.tokens;
    for (let i = 0; i < scored.tokens; i++) {
      const exit = scores.findIndex((least, index) => least !== NEVER && scored.scores[index]![i]! >= least);
      if (exit < 0) continue;
      counts[exit]!++;
      wrong += scored.wrong[exit]![i]!;
    }
  }
  return { byExit: counts.map((count) => share(count, tokens)), disagreement: share(wrong, tokens) };
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
