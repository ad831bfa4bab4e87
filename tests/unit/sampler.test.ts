import {
  argmax,
  chooseRanked,
  chooseToken,
  GREEDY,
  GUMBEL_MAX,
  gumbelNoise,
  HASH_BELOW,
  noiseKey,
  noiseOf,
  type SamplingSettings,
  samplingSettingsSchema,
  seededRandom,
} from '@tandem/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseSlowly, keptTokens } from '../support/sampling-reference.js';

const NORMAL: SamplingSettings = { ...GREEDY, temperature: 1, seed: 7 };
const floats = (...numbers: number[]) => Float32Array.from(numbers);

describe('greedy', () => {
  test.each<[string, Float32Array, number]>([
    ['the largest', floats(1, 3, 2), 1],
    ['the lowest id of a tie', floats(1, 3, 3, 3), 1],
    ['what is not NaN', floats(NaN, -5, NaN), 1],
    ['what is not −∞', floats(-Infinity, -1e38), 1],
    ['the first +∞', floats(0, Infinity, Infinity), 1],
    ['0 if all are NaN', floats(NaN, NaN), 0],
    ['0 if all are −∞', floats(-Infinity, -Infinity), 0],
  ])('takes %s', (_what, logits, token) => {
    expect(argmax(logits)).toBe(token);
    expect(chooseToken(logits, GREEDY, 3)).toBe(token);
  });

  test('knows nothing of seed, position and filters', () => {
    const settings = { ...GREEDY, topK: 1, topP: 0.1, minP: 0.5 };
    for (let seed = 0; seed < 50; seed++) expect(chooseToken(floats(0, 1, 0.999), { ...settings, seed }, seed)).toBe(1);
  });
});

describe('noise', () => {
  /** Changing one of these changes every text ever written with a seed. */
  test.each([
    [0, 0, 0, -0.447062940665],
    [0, 0, 1, 2.060807927751],
    [7, 3, 42, 0.44958981946],
    [4_294_967_295, 1_000_000, 31_999, -0.934323357832],
  ])('of seed %d, position %d, token %d is what it always was', (seed, position, token, noise) => {
    expect(gumbelNoise(noiseKey(seed, position), token)).toBeCloseTo(noise, 11);
  });

  test('is standard Gumbel: mean γ, variance π²/6, and below its ceiling', () => {
    const count = 200_000;
    let sum = 0;
    let squares = 0;
    let highest = -Infinity;
    for (let i = 0; i < count; i++) {
      const noise = gumbelNoise(noiseKey(5, i % 400), (i / 400) | 0);
      sum += noise;
      squares += noise * noise;
      highest = Math.max(highest, noise);
    }
    const mean = sum / count;
    // Three standard errors of the mean (σ = 1.28) are 0.0086, of the variance about 0.023.
    expect(Math.abs(mean - 0.5772157)).toBeLessThan(0.0086);
    expect(Math.abs(squares / count - mean * mean - Math.PI ** 2 / 6)).toBeLessThan(0.03);
    expect(highest).toBeLessThan(GUMBEL_MAX);
  });

  test('its ceiling holds for the largest hash there is', () => {
    expect(-Math.log(-Math.log((4_294_967_295 + 0.5) / 4_294_967_296))).toBeLessThan(GUMBEL_MAX);
  });
});

/** χ² of draws at many positions against softmax(logits / temperature) over the kept tokens. */
function chiSquare(
  logits: Float32Array,
  settings: SamplingSettings,
  draws: number,
): { statistic: number; freedom: number } {
  const kept = [...keptTokens([...logits], settings)].sort((a, b) => a - b);
  const weights = kept.map((token) => Math.exp(logits[token]! / settings.temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const seen = new Map<number, number>();
  for (let position = 0; position < draws; position++) {
    const token = chooseToken(logits, settings, position);
    seen.set(token, (seen.get(token) ?? 0) + 1);
  }
  if ([...seen.keys()].some((token) => !kept.includes(token)))
    throw new Error('a token was drawn that is filtered out');
  const statistic = kept.reduce((sum, token, i) => {
    const expected = (draws * weights[i]!) / total;
    return sum + ((seen.get(token) ?? 0) - expected) ** 2 / expected;
  }, 0);
  return { statistic, freedom: kept.length - 1 };
}

describe('the comparison of hashes that saves two logarithms', () => {
  test('is safe, and not much too safe', () => {
    expect(HASH_BELOW).toHaveLength(Math.ceil(GUMBEL_MAX));
    for (const [k, hash] of HASH_BELOW.entries()) {
      expect(noiseOf(hash)).toBeLessThan(k);
      expect(noiseOf(Math.min(hash + 2 ** 32 * 1e-9 + 4, 2 ** 32 - 1))).toBeGreaterThan(k - 1);
    }
  });

  test('changes no choice: a large vocabulary, flat and peaked, at any temperature', () => {
    const random = seededRandom(11);
    for (let draw = 0; draw < 300; draw++) {
      const spread = 10 ** (2 * random.next() - 0.5);
      const logits = Float32Array.from({ length: 2_000 }, () => spread * (random.next() + random.next() - 1));
      const settings = { ...NORMAL, temperature: 0.05 + 3 * random.next(), seed: draw };
      const { token, second } = chooseRanked(logits, settings, draw);
      expect([draw, token, second]).toEqual([
        draw,
        chooseSlowly(logits, settings, draw),
        chooseSlowly(logits, settings, draw, token),
      ]);
    }
  });
});

describe('draws', () => {
  const logits = floats(2, 1.5, 0, -1, 1, 0.25, -2, 0.5);

  test.each<[string, Partial<SamplingSettings>]>([
    ['temperature 1', {}],
    ['temperature 0.5', { temperature: 0.5 }],
    ['temperature 3', { temperature: 3 }],
    ['another seed', { seed: 123_456_789 }],
    ['topK 3', { topK: 3 }],
    ['topP 0.8', { topP: 0.8 }],
    ['minP 0.2', { minP: 0.2 }],
    ['all filters', { topK: 6, topP: 0.9, minP: 0.1, temperature: 1.5 }],
  ])('follow softmax with %s', (_what, settings) => {
    const { statistic, freedom } = chiSquare(logits, { ...NORMAL, ...settings }, 20_000);
    // Mean + 4.5 standard deviations of χ²; seeds are fixed, so it passes always or never.
    expect(statistic).toBeLessThan(freedom + 4.5 * Math.sqrt(2 * freedom));
  });

  test('control: greedy draws do not follow softmax', () => {
    const hits = Array.from({ length: 2_000 }, (_, position) =>
      chooseToken(logits, { ...NORMAL, temperature: 0.01 }, position),
    );
    expect(new Set(hits)).toEqual(new Set([0]));
  });

  test('of neighbouring positions are independent', () => {
    const even = floats(0, 0);
    let pairs = 0;
    for (let position = 0; position < 20_000; position++) {
      pairs += Number(chooseToken(even, NORMAL, position) === chooseToken(even, NORMAL, position + 1));
    }
    expect(Math.abs(pairs - 10_000)).toBeLessThan(4.5 * Math.sqrt(5_000));
  });

  test('do not depend on the order in which positions are asked', () => {
    const positions = Array.from({ length: 300 }, (_, i) => i);
    const forward = positions.map((position) => chooseToken(logits, NORMAL, position));
    const backward = positions.toReversed().map((position) => chooseToken(logits, NORMAL, position));
    expect(backward.toReversed()).toEqual(forward);
  });

  test('of two that see nearly the same logits are nearly always the same: a draft survives', () => {
    const random = seededRandom(1);
    const nearly = logits.map((logit) => logit + 0.01 * (random.next() - 0.5));
    let same = 0;
    for (let position = 0; position < 5_000; position++) {
      same += Number(chooseToken(logits, NORMAL, position) === chooseToken(nearly, NORMAL, position));
    }
    expect(same / 5_000).toBeGreaterThan(0.98);
  });
});

const wildLogits = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.float({ min: -40, max: 40, noNaN: true }) },
    { weight: 2, arbitrary: fc.constantFrom(0, 1, 1, 5) },
    { weight: 1, arbitrary: fc.constantFrom(-Infinity, NaN) },
  ),
  { minLength: 1, maxLength: 60 },
);
const wildSettings = fc.record({
  temperature: fc.constantFrom(0.05, 0.3, 0.7, 1, 2, 10),
  topK: fc.constantFrom(0, 0, 1, 2, 5, 1_000),
  topP: fc.constantFrom(1, 1, 0.01, 0.5, 0.9),
  minP: fc.constantFrom(0, 0, 0.01, 0.3, 0.99),
  seed: fc.integer({ min: 0, max: 0xffffffff }),
});

test('pruning and thresholds choose what the blackboard chooses, bit for bit', () => {
  const property = fc.property(wildLogits, wildSettings, fc.nat(100_000), (logits, settings, position) => {
    const array = Float32Array.from(logits);
    fc.pre(array.some((logit) => logit > -Infinity));
    const token = chooseSlowly(array, settings, position);
    const second = chooseSlowly(array, settings, position, token);
    expect(chooseToken(array, settings, position)).toBe(token);
    expect(chooseRanked(array, settings, position)).toEqual({
      token,
      second: second === 0 && !(array[0]! > -Infinity) ? token : second,
    });
  });
  fc.assert(property, { numRuns: 5_000, seed: 5 });
});

test('a large vocabulary, where nearly everything is pruned, chooses the same', () => {
  const random = seededRandom(8);
  for (let position = 0; position < 6; position++) {
    const logits = Float32Array.from(
      { length: 8_000 },
      () => 12 * (random.next() + random.next() + random.next() - 1.5),
    );
    const token = chooseSlowly(logits, NORMAL, position);
    const second = chooseSlowly(logits, NORMAL, position, token);
    expect(chooseRanked(logits, NORMAL, position)).toEqual({ token, second });
  }
});

test.each<[string, Partial<SamplingSettings>, number[]]>([
  ['nothing is filtered by default', {}, [0, 1, 2, 3, 4]],
  ['topK keeps ties at its edge', { topK: 2 }, [0, 1, 2]],
  ['topK beyond the vocabulary keeps all', { topK: 9 }, [0, 1, 2, 3, 4]],
  ['topP keeps at least the likeliest', { topP: 0.001 }, [0]],
  ['minP counts from the likeliest', { minP: 0.3 }, [0, 1, 2]],
  ['NaN is never kept', { topK: 1 }, [0]],
])('%s', (_what, settings, drawable) => {
  const logits = floats(3, 2, 2, 1, 0, ...(settings.topK === 1 ? [NaN] : []));
  const drawn = new Set(Array.from({ length: 3_000 }, (_, i) => chooseToken(logits, { ...NORMAL, ...settings }, i)));
  expect([...drawn].sort()).toEqual(drawable);
});

test('the defaults of the settings are greedy', () => {
  expect(samplingSettingsSchema.parse({})).toEqual(GREEDY);
});
