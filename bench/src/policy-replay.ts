import type { ExitEvidence, ExitPolicy } from '@tandem/edge';
import type { ObservedText } from '@tandem/model-kit';

/** How a policy fared on texts, as shares of all tokens. */
export interface PolicyOutcome {
  /** Settled on the device, at any exit. */
  settled: number;
  /** Settled at the first exit. */
  settledFirst: number;
  /** Equal to the whole model's choice, whoever settled them. */
  agreement: number;
}

interface Position {
  truth: number;
  /** One per exit; what a session's drafter would show the policy. */
  words: readonly ExitEvidence[];
}

/**
 * Texts whose evidence was collected once, through the real stages, for any number of policies. A policy is asked token by
 * token and exit by exit, as in a session in collaborative mode, with the whole model's choice wherever no exit is sure.
 */
export class PolicyReplay {
  readonly #texts: readonly (readonly Position[])[];
  /** Entropies before the position at hand, newest last; every position's evidence looks at this one list. */
  readonly #history: number[] = [];
  readonly positions: number;

  constructor(texts: readonly ObservedText[], roundTripMs?: number) {
    this.#texts = texts.map((text) => text.truth.map((truth, i) => this.#position(text, truth, i, roundTripMs)));
    this.positions = this.#texts.reduce((sum, text) => sum + text.length, 0);
  }

  run(policy: ExitPolicy): PolicyOutcome {
    let settled = 0;
    let settledFirst = 0;
    let wrong = 0;
    for (const text of this.#texts) {
      this.#history.length = 0;
      for (const { truth, words } of text) {
        const sure = words.find((word) => policy.isConfident(word));
        this.#history.push((sure ?? words.at(-1)!).entropy);
        if (!sure) continue;
        settled++;
        if (sure === words[0]) settledFirst++;
        if (sure.top !== truth) wrong++;
      }
    }
    return {
      settled: settled / this.positions,
      settledFirst: settledFirst / this.positions,
      agreement: 1 - wrong / this.positions,
    };
  }

  /** Who knows the right answer lets every token out at the first exit that names it. */
  oracle(): PolicyOutcome {
    const all = this.#texts.flat();
    const share = (test: (position: Position) => boolean) => all.filter(test).length / all.length;
    return {
      settled: share(({ truth, words }) => words.some(({ top }) => top === truth)),
      settledFirst: share(({ truth, words }) => words[0]!.top === truth),
      agreement: 1,
    };
  }

  #position({ exits }: ObservedText, truth: number, i: number, roundTripMs: number | undefined): Position {
    const words: ExitEvidence[] = [];
    for (const [e, own] of exits.entries()) {
      const { evidence, rowSimilarity } = own[i]!;
      const seen = { exit: e + 1, generated: i, earlier: [...words], recentEntropies: this.#history };
      words.push({ ...evidence, rowSimilarity, ...seen, roundTripMs });
    }
    return { truth, words };
  }
}
