import { LOGPROB_MIN, limits, logprobsOf, packLogprobs, seededRandom, unpackLogprobs } from '@tandem/shared';
import { expect, test } from 'vitest';

test('log probabilities are those of the softmax, likeliest first', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 50; round++) {
    const logits = Float32Array.from({ length: 97 }, () => 12 * random.next() - 6);
    const token = Math.floor(random.next() * 97);
    // The definition, in another order of summing.
    const sum = [...logits].sort((a, b) => a - b).reduce((total, logit) => total + Math.exp(logit), 0);
    const exact = [...logits].map((logit) => Math.log(Math.exp(logit) / sum));
    const { logprob, top } = logprobsOf(logits, token, 5);
    expect(logprob).toBeCloseTo(exact[token]!, 10);
    const order = exact.map((_, at) => at).sort((a, b) => exact[b]! - exact[a]!);
    expect(top.map((other) => other.token)).toEqual(order.slice(0, 5));
    for (const other of top) expect(other.logprob).toBeCloseTo(exact[other.token]!, 10);
  }
});

test('equal ones keep their order, none are asked for, more than there are', () => {
  const flat = new Float32Array(4);
  expect(logprobsOf(flat, 2, 3).top.map(({ token }) => token)).toEqual([0, 1, 2]);
  expect(logprobsOf(flat, 2, 0)).toEqual({ logprob: Math.log(0.25), top: [] });
  expect(logprobsOf(flat, 0, limits.LOGPROBS_TOP_MAX).top).toHaveLength(4);
});

test.each([
  ['no number', Number.NaN],
  ['nothing', -Infinity],
  ['too little', -3e38],
])('a logit of %s is a finite log probability', (_, logit) => {
  const { logprob } = logprobsOf(Float32Array.of(0, logit, 1), 1, 3);
  expect(logprob).toBe(LOGPROB_MIN);
});

test('the wire gives back what it was given', () => {
  const given = logprobsOf(Float32Array.of(0.5, 2, -1, 7), 2, 3);
  expect(unpackLogprobs(packLogprobs(given))).toEqual(given);
});
