/** Bins of equal width over the square root of the margin: half of all margins are below 0.2. */
const BINS = 12;

/**
 * Before any draft was judged: 1 - 0.6 e^(-6 m) at a margin of m. Fitted, roughly, to the exits of the embedded model on
 * text of its own, greedy: m = 0.02, 0.09, 0.2, 0.4, 0.6 went with 0.36, 0.54, 0.75, 0.81, 0.96 at the first exit and
 * 0.45, 0.77, 0.91, 0.98, 0.99 at the second. The margin tells more than the probability: whether an exit agrees with
 * the full model depends on what else it might have said.
 */
function priorChance(margin: number): number {
  return 1 - 0.6 * Math.exp(-6 * margin);
}

/** So many judged drafts is that worth. */
const PRIOR_DRAFTS = 8;

/** Weight of what is old halves after so many judged drafts of a bin: a text changes its manner. */
const HALF_LIFE_DRAFTS = 400;

/** At a mismatch the cloud's choice was the second one in so many cases; measured on the embedded model, greedy. */
const PRIOR_SECOND = 0.7;
const PRIOR_MISMATCHES = 16;

/** Of the drafts that an exit got wrong, the next exit put so many right; measured on the embedded model, greedy. */
const PRIOR_RESCUED = 0.45;
const PRIOR_WRONG = 16;

/**
 * How often drafts prove right, by exit and by the margin (between its likeliest two tokens). Learns from
 * verdicts; one belongs to a model, so that a new session knows what older ones have learnt.
 */
export class Acceptance {
  /** Per exit, `(BINS, 2)`: weight of right drafts, weight of all. */
  readonly #exits = new Map<number, Float64Array>();
  #secondRight = PRIOR_SECOND * PRIOR_MISMATCHES;
  #mismatches = PRIOR_MISMATCHES;
  #rescued = PRIOR_RESCUED * PRIOR_WRONG;
  #wrong = PRIOR_WRONG;

  /** The chance that a draft of this exit is right. */
  chance(exit: number, margin: number): number {
    const bin = binOf(margin);
    const counts = this.#exits.get(exit);
    const right = counts?.[2 * bin] ?? 0;
    const all = counts?.[2 * bin + 1] ?? 0;
    return (right + PRIOR_DRAFTS * priorChance(margin)) / (all + PRIOR_DRAFTS);
  }

  /** The chance that the second choice is the right one where the first is wrong. */
  get secondChance(): number {
    return this.#secondRight / this.#mismatches;
  }

  /** How many of an exit's wrong drafts deeper stages would have put right, less those that they would have spoilt. */
  get rescueShare(): number {
    return Math.max(0, this.#rescued / this.#wrong);
  }

  /** A token was decided behind an exit that was not sure: who was right? */
  wentDeeper(wasRight: boolean, isRight: boolean): void {
    this.#wrong += Number(!wasRight);
    this.#rescued += Number(isRight) - Number(wasRight);
  }

  judged(exit: number, margin: number, isRight: boolean): void {
    let counts = this.#exits.get(exit);
    if (!counts) {
      counts = new Float64Array(2 * BINS);
      this.#exits.set(exit, counts);
    }
    const bin = binOf(margin);
    const decay = 2 ** (-1 / HALF_LIFE_DRAFTS);
    counts[2 * bin] = counts[2 * bin]! * decay + Number(isRight);
    counts[2 * bin + 1] = counts[2 * bin + 1]! * decay + 1;
  }

  /** A draft was wrong; `isSecond`: the right token was the one that came second. */
  mismatched(isSecond: boolean): void {
    this.#mismatches++;
    this.#secondRight += Number(isSecond);
  }
}

function binOf(margin: number): number {
  return Math.min(BINS - 1, Math.max(0, Math.floor(Math.sqrt(margin) * BINS)));
}
