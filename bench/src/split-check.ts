import { calibrateThresholds, lossUnder, type ObservedText, scoreText } from '@tandem/model-kit';
import { type CalibratedPolicyName, type Random, seededRandom } from '@tandem/shared';

export interface SplitResult {
  policy: CalibratedPolicyName;
  epsilon: number;
  splits: number;
  /** Share of the splits whose held-out half disagreed more than ε. To be at most δ. */
  exceeded: number;
  /** Means over the splits, of all held-out tokens. */
  settled: number;
  disagreement: number;
}

export interface SplitOptions {
  policy: CalibratedPolicyName;
  epsilons: readonly number[];
  delta: number;
  unitTokensMax: number;
  splits: number;
  seed: number;
}

/** Does the promise hold? Calibrated on a random half of the stories, counted on the other half, many times. */
export function checkSplits(stories: readonly ObservedText[], options: SplitOptions): SplitResult[] {
  const { policy, epsilons, splits } = options;
  const random = seededRandom(options.seed);
  const results = epsilons.map((epsilon) => ({ policy, epsilon, splits, exceeded: 0, settled: 0, disagreement: 0 }));
  for (let split = 0; split < splits; split++) {
    const shuffled = shuffle(stories, random);
    const middle = stories.length >> 1;
    const found = calibrateThresholds(shuffled.slice(0, middle), policy, options);
    const heldOut = shuffled.slice(middle).map((story) => scoreText(story, policy));
    for (const [i, { epsilon, scores }] of found.entries()) {
      const losses = heldOut.map((story) => lossUnder(story, scores));
      const sum = (part: 'tokens' | 'wrong' | 'settled') => losses.reduce((total, loss) => total + loss[part], 0);
      const disagreement = sum('wrong') / sum('tokens');
      const result = results[i]!;
      if (disagreement > epsilon) result.exceeded += 1 / splits;
      result.settled += sum('settled') / sum('tokens') / splits;
      result.disagreement += disagreement / splits;
    }
  }
  return results;
}

/** Fisher and Yates. */
function shuffle<Item>(items: readonly Item[], random: Random): Item[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  return shuffled;
}
