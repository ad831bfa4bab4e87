import { calibrateThresholds, chooseBet, fixedSequence, type ObservedText, riskPValue } from '@tandem/model-kit';
import { type Random, seededRandom } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const TEST = { epsilon: 0.1, delta: 0.05, unitTokensMax: 10 };
const RIGHT = 1;
const WRONG = 2;

/** A text whose exits name the right token or another one, each with a score between 0 and 1. */
function text(exits: readonly { right: boolean; score: number }[][]): ObservedText {
  return {
    truth: exits[0]!.map(() => RIGHT),
    exits: exits.map((words) =>
      words.map(({ right, score }) => ({
        evidence: {
          top: right ? RIGHT : WRONG,
          second: 0,
          maxProbability: score,
          margin: score,
          entropy: 1 - score,
        },
        rowSimilarity: 0,
      })),
    ),
  };
}

describe('the risk test', () => {
  it('multiplies 1 + bet times what each text gains', () => {
    const losses = [
      { wrong: 0, tokens: 10 },
      { wrong: 2, tokens: 10 },
      { wrong: 0, tokens: 5 },
    ];
    // Gains: (1 − 0) / 10, (1 − 2) / 10, (0.5 − 0) / 10.
    expect(riskPValue(losses, 0.5, TEST)).toBeCloseTo(1 / (1.05 * 0.95 * 1.025), 12);
    expect(riskPValue([{ wrong: 10, tokens: 10 }], 1, TEST)).toBe(1);
  });

  it('never bets so much that a text that is wrong throughout ruins it', () => {
    const bet = chooseBet([{ wrong: 0, tokens: 10 }], 1, TEST);
    expect(bet).toBeGreaterThan(1);
    expect(1 + bet * (0.1 - 1)).toBeGreaterThan(0);
    // Texts that lose much ask for a smaller bet: √(2 ln 20 / (1000 · 0.4²)).
    expect(chooseBet([{ wrong: 5, tokens: 10 }], 1000, TEST)).toBeCloseTo(Math.sqrt(5.991464547 / 160), 6);
  });

  it('stops at the first hypothesis that it cannot reject', () => {
    expect(fixedSequence([0.01, 0.05, 0.2, 0.001], 0.05)).toBe(2);
    expect(fixedSequence([0.06], 0.05)).toBe(0);
    expect(fixedSequence([Number.NaN], 0.05)).toBe(0);
  });
});

describe('thresholds', () => {
  const options = { epsilons: [0.05], delta: 0.1, unitTokensMax: 10 };

  it('keep their promise in at least 1 − δ of all calibrations, where the best threshold of a sample breaks it often', () => {
    const population = world(seededRandom(99), 5_000);
    const kept = { calibrated: 0, naive: 0 };
    let settled = 0;
    const runs = 100;
    for (let run = 0; run < runs; run++) {
      const sample = world(seededRandom(run + 1), 200);
      const [result] = calibrateThresholds(sample, 'max-probability', options);
      if (riskOf(population, result!.thresholds[0] ?? 2) <= 0.05) kept.calibrated++;
      settled += result!.settled / runs;
      if (riskOf(population, naiveThreshold(sample)) <= 0.05) kept.naive++;
    }
    expect(kept.calibrated).toBeGreaterThanOrEqual(0.9 * runs);
    expect(kept.naive).toBeLessThan(0.7 * runs);
    // A threshold that settles nothing would keep the promise, too.
    expect(settled).toBeGreaterThan(0.15);
  });

  it('are found for both exits together: the second one is judged by what the first one leaves', () => {
    const random = seededRandom(5);
    // The first exit is right above 0.5 and a coin below; the second is right wherever the first is not.
    const texts = Array.from({ length: 400 }, () => {
      const words = Array.from({ length: 10 }, () => {
        const score = random.next();
        return { score, right: score > 0.5 || random.next() < 0.5 };
      });
      return text([words, words.map(({ right, score }) => ({ right: !right, score: 1 - score }))]);
    });
    const [result] = calibrateThresholds(texts, 'max-probability', options);
    // The second exit's best half is right in one of two cases: it may add little, and alone it could take nothing.
    expect(result!.thresholds[0]).toBeGreaterThan(0.3);
    expect(result!.thresholds[0]).toBeLessThan(0.55);
    expect(result!.settled).toBeGreaterThan(0.45);
    const alone = calibrateThresholds(
      texts.map(({ truth, exits }) => ({ truth, exits: [exits[1]!] })),
      'max-probability',
      options,
    );
    expect(alone[0]!.settled).toBeLessThan(0.1);
  });

  it('are floors for margin and ceilings in nats for entropy, with the same choice here', () => {
    const sample = world(seededRandom(3), 300);
    const [byMargin] = calibrateThresholds(sample, 'margin', options);
    const [byEntropy] = calibrateThresholds(sample, 'entropy', options);
    expect(byEntropy!.thresholds[0]).toBeCloseTo(1 - byMargin!.thresholds[0]!, 4);
    expect(byEntropy!.settled).toBeCloseTo(byMargin!.settled, 2);
  });

  it('are null where a text wrong throughout cannot be ruled out', () => {
    const flawless = Array.from({ length: 40 }, () => text([Array(10).fill({ right: true, score: 0.9 })]));
    expect(calibrateThresholds(flawless, 'margin', options)).toMatchObject([
      { epsilon: 0.05, thresholds: [null], settled: 0 },
    ]);
  });
});

/** Texts of ten tokens, some hard and some easy as a whole; the surer the exit, the rarer it is wrong. */
function world(random: Random, texts: number): ObservedText[] {
  return Array.from({ length: texts }, () => {
    const hardness = random.next() < 0.2 ? 0.6 : 0.1;
    return text([
      Array.from({ length: 10 }, () => {
        const score = random.next();
        return { score, right: random.next() >= hardness * (1 - score) ** 0.5 };
      }),
    ]);
  });
}

function riskOf(texts: readonly ObservedText[], threshold: number): number {
  let wrong = 0;
  for (const { exits } of texts)
    for (const { evidence } of exits[0]!) if (evidence.maxProbability >= threshold && evidence.top === WRONG) wrong++;
  return wrong / (texts.length * 10);
}

/** The lowest threshold whose risk in the sample itself is at most ε. */
function naiveThreshold(texts: readonly ObservedText[]): number {
  for (let threshold = 0; threshold <= 1; threshold += 0.005) if (riskOf(texts, threshold) <= 0.05) return threshold;
  return 2;
}
