import type { TextLoss } from './observed-text.js';

/**
 * Is the expected share of wrong tokens at most ε? Texts are independent draws, the tokens inside one are not (an error
 * early in a text makes further ones likelier), so the unit is the text, and nothing is assumed of what it loses but
 * 0 ≤ wrong ≤ tokens ≤ N.
 *
 * If the share were larger than ε, `Y = (ε·tokens − wrong) / N` had an expectation below zero, and who bets a fixed share
 * η of his money on Y, text after text, would expect to lose: E[Π(1 + η Y)] ≤ 1. By Markov's inequality he then has
 * 1/δ times his money with probability at most δ, so 1/Π is a p-value for every number of texts (Waudby-Smith &
 * Ramdas 2024, "Estimating means of bounded random variables by betting"). It needs η fixed beforehand: it comes from
 * other texts.
 */
export interface RiskTest {
  epsilon: number;
  delta: number;
  /** N: no unit has more tokens than this. */
  unitTokensMax: number;
}

/** The bet that wins fastest at the border of what n texts can show: η = √(2 ln(1/δ) / (n·E[Y²])), of all that never ruins. */
export function chooseBet(learned: readonly TextLoss[], texts: number, test: RiskTest): number {
  const ruin = 1 / (1 - test.epsilon);
  const square = learned.reduce((sum, loss) => sum + gain(loss, test) ** 2, 0) / learned.length;
  return Math.min(0.98 * ruin, Math.sqrt((2 * Math.log(1 / test.delta)) / (texts * square)));
}

/** p-value of "more than ε of the tokens are wrong". */
export function riskPValue(losses: readonly TextLoss[], bet: number, test: RiskTest): number {
  const logWealth = losses.reduce((sum, loss) => sum + Math.log1p(bet * gain(loss, test)), 0);
  return Math.min(1, Math.exp(-logWealth));
}

function gain({ wrong, tokens }: TextLoss, { epsilon, unitTokensMax }: RiskTest): number {
  return (epsilon * tokens - wrong) / unitTokensMax;
}

/**
 * Fixed-sequence testing (Learn then Test, Angelopoulos et al. 2021, section 2.1; CALM, Schuster et al. 2022): hypotheses in
 * an order that was fixed beforehand, each at level δ, up to the first that is not rejected. The chance that any
 * rejected one is true is at most δ, whatever the order.
 *
 * @returns how many were rejected
 */
export function fixedSequence(pValues: Iterable<number>, delta: number): number {
  let rejected = 0;
  for (const pValue of pValues) {
    if (!(pValue <= delta)) break;
    rejected++;
  }
  return rejected;
}
