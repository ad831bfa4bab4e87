import { NEVER, type ScoredText } from './scores.js';

/** Prices of one wrong token, in settled tokens, from the strictest to the most lenient. */
const PRICES = Array.from({ length: 32 }, (_, i) => 2_000 ** (1 - i / 31));
const ROUNDS = 3;
/** Settings between two that prices lead to. */
const STOPS = 4;
/** Thresholds are rounded to the stricter side, and only rounded ones are tested. */
const STEPS = 100_000;

/**
 * Settings worth testing, the strictest first, one threshold per exit: for each price the one that settles most tokens
 * net of what its wrong ones cost. Exits interact, an exit sees only what those before it left over; so they are chosen
 * together, one after the other until nothing changes (coordinate ascent).
 */
export function learnPath(texts: readonly ScoredText[], exits: number): number[][] {
  const pool = new Pool(texts, exits);
  let thresholds = new Array<number>(exits).fill(NEVER);
  const path: number[][] = [];
  for (const price of PRICES) {
    for (let round = 0; round < ROUNDS; round++) {
      const before = thresholds.join();
      for (let exit = exits - 1; exit >= 0; exit--) {
        thresholds = thresholds.with(exit, pool.bestThreshold(thresholds, exit, price));
      }
      if (thresholds.join() === before) break;
    }
    const last = path.at(-1);
    if (last?.join() === thresholds.join()) continue;
    if (last) path.push(...between(last, thresholds));
    path.push(thresholds);
  }
  return path.map((setting) => setting.map((threshold) => Math.ceil(threshold * STEPS) / STEPS));
}

/** Prices only lead to corners of the trade-off; the way between two of them is worth testing, too. */
function between(from: readonly number[], to: readonly number[]): number[][] {
  if (from.some((threshold, exit) => (threshold === NEVER) !== (to[exit] === NEVER))) return [];
  return Array.from({ length: STOPS }, (_, stop) => {
    const share = (stop + 1) / (STOPS + 1);
    return from.map((threshold, exit) => (threshold === NEVER ? NEVER : threshold + (to[exit]! - threshold) * share));
  });
}

/** The tokens of all texts in one row. */
class Pool {
  readonly #scores: Float64Array[] = [];
  readonly #wrong: Uint8Array[] = [];
  /** By exit: tokens in descending order of their score. */
  readonly #order: Uint32Array[] = [];

  constructor(texts: readonly ScoredText[], exits: number) {
    const total = texts.reduce((sum, { tokens }) => sum + tokens, 0);
    for (let exit = 0; exit < exits; exit++) {
      const scores = new Float64Array(total);
      const wrong = new Uint8Array(total);
      let at = 0;
      for (const text of texts) {
        scores.set(text.scores[exit]!, at);
        wrong.set(text.wrong[exit]!, at);
        at += text.tokens;
      }
      this.#scores.push(scores);
      this.#wrong.push(wrong);
      this.#order.push(Uint32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!));
    }
  }

  /** The best threshold of one exit while the others stay: one walk down its scores with a running sum. */
  bestThreshold(thresholds: readonly number[], exit: number, price: number): number {
    const scores = this.#scores[exit]!;
    const order = this.#order[exit]!;
    let gain = 0;
    let bestGain = 0;
    let best = NEVER;
    const wrong = this.#wrong[exit]!;
    for (let rank = 0; rank < order.length; rank++) {
      const token = order[rank]!;
      const taken = this.#exitOf(token, thresholds, 0, exit);
      if (taken < 0) gain += 1 - price * wrong[token]! - this.#worthBehind(token, thresholds, exit, price);
      const score = scores[token]!;
      // Tokens of equal score leave together.
      if (gain > bestGain && (rank + 1 === order.length || scores[order[rank + 1]!] !== score)) {
        bestGain = gain;
        best = score;
      }
    }
    return best;
  }

  /** What a token is worth when `exit` lets it pass. */
  #worthBehind(token: number, thresholds: readonly number[], exit: number, price: number): number {
    const later = this.#exitOf(token, thresholds, exit + 1, thresholds.length);
    return later < 0 ? 0 : 1 - price * this.#wrong[later]![token]!;
  }

  /** The first exit of `[from, to)` that settles the token, or -1. */
  #exitOf(token: number, thresholds: readonly number[], from: number, to: number): number {
    for (let exit = from; exit < to; exit++) if (this.#scores[exit]![token]! >= thresholds[exit]!) return exit;
    return -1;
  }
}
