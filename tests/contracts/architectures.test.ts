import { loadWeights, prepareBundle, readCheckpoint } from '@tandem/model-kit';
import {
  type OnnxStageModel,
  ReferenceStageModel,
  StageChain,
  type StageModel,
  seededRandom,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ArchitectureFixture,
  FIXTURE_NAMES,
  FIXTURE_POSITIONS,
  readFixture,
} from '../support/architecture-fixture.js';
import { difference, expectSameBits } from '../support/compare.js';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';

/** Largest |difference| of a logit from the reference library's, in f32. */
const TOLERANCE = 1e-4;
const CUTS = [1, 2, 3];
/** Over a window's end, as far as the fixtures' context goes. */
const LONG = 128;

it('there is a fixture for every family', () => {
  expect(FIXTURE_NAMES).toHaveLength(13);
});

describe.each(FIXTURE_NAMES)('%s against Hugging Face transformers', (name) => {
  let fixture: ArchitectureFixture;
  let reference: StageModel;
  let folder: string;
  /** The stages of each cut. */
  const cuts = new Map<number, StageModel[]>();

  beforeAll(async () => {
    fixture = await readFixture(name);
    const checkpoint = await readCheckpoint(fixture.directory);
    reference = new ReferenceStageModel(await loadWeights(checkpoint));
    folder = await temporaryFolder('architecture');
    for (const cut of CUTS) {
      const out = `${folder}/${cut}`;
      await prepareBundle({ checkpoint, exits: [], cut, formats: ['f32'], out });
      const bundle = await openBundle(out);
      cuts.set(cut, [
        await loadStage(bundle, 0, 'f32', { threads: 1 }),
        await loadStage(bundle, 1, 'f32', { threads: 1 }),
      ]);
    }
    await checkpoint.close();
  });
  afterAll(async () => {
    for (const models of cuts.values()) for (const model of models) await model.dispose();
    await removeFolder(folder);
  });

  it('the reference transformer', async () => {
    expectClose(await run([reference], fixture.tokens, [FIXTURE_POSITIONS]), fixture.logits);
  });

  it.each(CUTS)('split at layer %i: prefill, one at a time, any groups, after a roll-back', async (cut) => {
    const models = cuts.get(cut)!;
    const { max } = expectClose(await run(models, fixture.tokens, [FIXTURE_POSITIONS]), fixture.logits);
    console.log(`${name}, split at ${cut}: max |logit difference| ${max.toExponential(1)}`);
    const whole = await run(models, fixture.tokens, [FIXTURE_POSITIONS]);
    const groups: [string, number[]][] = [
      ['one at a time', Array.from({ length: FIXTURE_POSITIONS }, () => 1)],
      ['in groups', [7, 1, 1, 13, 2, 16]],
    ];
    for (const [label, sizes] of groups) expectSameBits(await run(models, fixture.tokens, sizes), whole, label);
    expectSameBits(await runWithRollBacks(models, fixture.tokens), whole, 'after roll-backs');
  });

  it('rows are independent of each other, not run one by one', () => {
    if (process.arch !== 'x64') return;
    for (const model of cuts.get(2)!) expect((model as OnnxStageModel).rowsPerRun).toBe(WINDOW_POSITIONS);
  });

  it.each(['q8', 'q4'] as const)('rows are independent of each other in %s too', async (format) => {
    const out = `${folder}/${format}`;
    await prepareBundle({ checkpoint: fixture.directory, exits: [], cut: 2, formats: [format], out });
    const bundle = await openBundle(out);
    const models = [
      await loadStage(bundle, 0, format, { threads: 1 }),
      await loadStage(bundle, 1, format, { threads: 1 }),
    ];
    const whole = await run(models, fixture.tokens, [FIXTURE_POSITIONS]);
    expect(whole.every(Number.isFinite)).toBe(true);
    expectSameBits(await run(models, fixture.tokens, [7, 1, 1, 13, 2, 16]), whole, 'in groups');
    for (const model of models) await model.dispose();
  });

  it('past the end of a window it is still the reference transformer', async () => {
    const random = seededRandom(3);
    const tokens = Int32Array.from({ length: LONG }, () => Math.floor(random.next() * reference.vocabularySize));
    const expected = await run([reference], tokens, [LONG]);
    const actual = await run(cuts.get(2)!, tokens, [50, 30, 1, 1, 46]);
    expectClose(actual, expected);
  });
});

/** Logits of all tokens, `(tokens, vocabulary)`. */
async function run(models: StageModel[], tokens: Int32Array, groups: number[]): Promise<Float32Array> {
  const chain = open(models);
  const parts: Float32Array[] = [];
  for (const count of groups) parts.push(await step(chain, models.length, tokens, chain.length, chain.length + count));
  chain.dispose();
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** The same with wrong tokens in between, which are forgotten. */
async function runWithRollBacks(models: StageModel[], tokens: Int32Array): Promise<Float32Array> {
  const chain = open(models);
  const wrong = tokens.map((token) => (token + 1) % models[0]!.vocabularySize);
  const parts: Float32Array[] = [];
  for (const end of [12, 13, 31, FIXTURE_POSITIONS]) {
    const begin = chain.length;
    parts.push(await step(chain, models.length, tokens, begin, end));
    await step(chain, models.length, wrong, end - 3, end + 4);
    chain.truncate(end - 1);
    await step(chain, models.length, tokens, end - 1, end);
  }
  chain.dispose();
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

function open(models: StageModel[]): StageChain {
  return new StageChain(
    models.map((model) => model.open(LONG)),
    models[0]!.width,
  );
}

async function step(
  chain: StageChain,
  depth: number,
  tokens: Int32Array,
  begin: number,
  end: number,
): Promise<Float32Array> {
  chain.append({ kind: 'tokens', tokens: tokens.slice(begin, end) });
  const count = chain.length - chain.stageLength(depth - 1);
  const want = Array.from({ length: count }, (_, i) => chain.length - count + i);
  return (await chain.run(depth, want)).logits;
}

function expectClose(actual: Float32Array, expected: Float32Array): { max: number } {
  const { max, mean } = difference(actual, expected);
  expect(actual.length).toBe(expected.length);
  expect(max, `max ${max}, mean ${mean}`).toBeLessThanOrEqual(TOLERANCE);
  return { max };
}
