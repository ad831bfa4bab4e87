import { gatherEvidence } from '@tandem/shared';
import fc from 'fast-check';
import { expect, test } from 'vitest';

/** Softmax, sorted, summed: the definitions. */
function slowly(logits: Float32Array) {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const highest = logits[order[0]!]!;
  const weights = Array.from(logits, (logit) => Math.exp(logit - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const probabilities = weights.map((weight) => weight / total);
  const [top, second] = order as [number, number];
  return {
    top,
    second,
    maxProbability: probabilities[top]!,
    margin: probabilities[top]! - probabilities[second]!,
    entropy: -probabilities.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0),
  };
}

test('equals the definitions', () => {
  const logits = fc.float32Array({ minLength: 2, maxLength: 50, min: -80, max: 80, noNaN: true });
  const property = fc.property(logits, (array) => {
    const expected = slowly(array);
    const evidence = gatherEvidence(array);
    expect([evidence.top, evidence.second]).toEqual([expected.top, expected.second]);
    const names = ['maxProbability', 'margin', 'entropy'] as const;
    const differences = names.map((name) => Math.abs(evidence[name] - expected[name]));
    if (!differences.every((difference) => difference < 1e-9)) expect.fail(`${names} are off by ${differences}`);
  });
  fc.assert(property, { numRuns: 2_000, seed: 6 });
});

test.each<[string, number[], Partial<ReturnType<typeof gatherEvidence>>]>([
  ['equal logits', [1, 1, 1, 1], { top: 0, second: 1, maxProbability: 0.25, margin: 0, entropy: Math.log(4) }],
  ['one token', [5], { top: 0, second: 0, maxProbability: 1, margin: 1, entropy: 0 }],
  ['one that is possible', [-Infinity, 3, -Infinity], { top: 1, maxProbability: 1, margin: 1, entropy: 0 }],
  ['NaN beside others', [NaN, 2, 2], { top: 1, second: 2, maxProbability: 0.5, margin: 0 }],
  ['only NaN', [NaN, NaN], { top: 0, maxProbability: 0, margin: 0, entropy: Math.log(2) }],
  ['an infinite logit', [0, Infinity], { maxProbability: 0, margin: 0 }],
])('of %s', (_what, logits, evidence) => {
  expect(gatherEvidence(Float32Array.from(logits))).toMatchObject(evidence);
});
