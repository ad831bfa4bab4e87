import { prepareBundle } from '@tandem/model-kit';
import {
  FORMATS,
  type Random,
  type Stage,
  type StageBatch,
  type StageForward,
  type StageModel,
  type StageOutput,
  seededRandom,
} from '@tandem/shared';
import { type Bundle, loadStage, loadStageBatch, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURE_NAMES, readFixture } from '../support/architecture-fixture.js';
import { expectSameBits } from '../support/compare.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

const SLOTS = 3;
/** More than there are slots. */
const SESSIONS = 5;
/** Over the ends of two windows. */
const CAPACITY = 150;
const LIVE = { threads: 1 };

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await removeFolder(folder);
});

/** Sessions that are run together, and twins of theirs that are run one by one: nothing may differ. */
class Pair {
  readonly together: Stage;
  readonly alone: Stage;

  constructor(
    readonly model: StageModel,
    readonly input: 'tokens' | 'rows',
    capacity = CAPACITY,
  ) {
    this.together = model.open(capacity);
    this.alone = model.open(capacity);
  }

  draw(random: Random, countMax: number): { input: StageForward['input']; wanted: Int32Array } {
    const { model, input: kind } = this;
    const count = 1 + Math.floor(random.next() * countMax);
    const input: StageForward['input'] =
      kind === 'tokens'
        ? { kind, tokens: Int32Array.from({ length: count }, () => Math.floor(random.next() * model.vocabularySize)) }
        : { kind, rows: Float32Array.from({ length: count * model.width }, () => random.next() * 4 - 2) };
    const offsets = Int32Array.from({ length: model.hasHead ? count : 0 }, (_, i) => i);
    return { input, wanted: offsets.filter(() => random.next() < 0.5) };
  }

  truncate(length: number): void {
    this.together.truncate(length);
    this.alone.truncate(length);
  }

  dispose(): void {
    this.together.dispose();
    this.alone.dispose();
  }
}

/** Rounds of some of the sessions, each with a few rows or one, rolled back now and then. */
async function tell(batch: StageBatch, pairs: Pair[], random: Random, rounds: number, label: string): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const members = pairs.filter(() => random.next() < 0.7);
    const calls = members.map((pair) => {
      if (random.next() < 0.2) pair.truncate(Math.floor(random.next() * (pair.alone.length + 1)));
      const countMax = Math.min(CAPACITY - pair.alone.length, random.next() < 0.5 ? 1 : 20);
      if (countMax < 1) pair.truncate(0);
      return pair.draw(random, Math.max(1, countMax));
    });
    const outputs = await batch.forward(members.map(({ together }, i) => ({ stage: together, ...calls[i]! })));
    for (const [i, pair] of members.entries()) {
      const { input, wanted } = calls[i]!;
      await expectSame(outputs[i]!, await pair.alone.forward(input, wanted), pair, `${label}, round ${round}, ${i}`);
    }
  }
}

async function expectSame(output: StageOutput | Error, expected: StageOutput, pair: Pair, label: string) {
  if (output instanceof Error) throw output;
  expectSameBits(output.rows, expected.rows, `${label}: rows`);
  expectSameBits(output.logits, expected.logits, `${label}: logits`);
  expect(pair.together.length).toBe(pair.alone.length);
  const [tail, expectedTail] = [pair.together.copyTail(0), pair.alone.copyTail(0)];
  for (const [layer, keys] of tail.keys.entries()) {
    expectSameBits(keys, expectedTail.keys[layer]!, `${label}: keys of layer ${layer}`);
    expectSameBits(tail.values[layer]!, expectedTail.values[layer]!, `${label}: values of layer ${layer}`);
  }
}

async function loadBoth(bundle: Bundle, index: number, format: (typeof FORMATS)[number]) {
  const model = await loadStage(bundle, index, format, LIVE);
  return { model, batch: (await loadStageBatch(bundle, index, format, SLOTS, LIVE))! };
}

describe('sessions that run together', () => {
  let bundle: Bundle;

  beforeAll(async () => {
    const checkpoint = await writeRandomCheckpoint({ fittedExits: [1] });
    const out = await temporaryFolder('bundle');
    folders.push(checkpoint, out);
    await prepareBundle({ checkpoint, exits: [1], cut: 3, formats: FORMATS, out });
    bundle = await openBundle(out);
  });

  // Stage 0 reads tokens and ends in a fitted exit, stage 1 has no head, stage 2 ends in the model's.
  const stages = FORMATS.flatMap((format) => [0, 1, 2].map((index) => [format, index] as const));
  it.each(stages)('have the bits that each has alone: %s, stage %i', async (format, index) => {
    const { model, batch } = await loadBoth(bundle, index, format);
    const pairs = Array.from({ length: SESSIONS }, () => new Pair(model, bundle.manifest.stages[index]!.input));
    await tell(batch, pairs, seededRandom(index), 25, format);
    for (const pair of pairs) pair.dispose();
    await batch.dispose();
    await model.dispose();
  });

  describe('when something is wrong with some of them', () => {
    let model: StageModel;
    let batch: StageBatch;
    let pairs: Pair[];
    const random = seededRandom(11);

    beforeAll(async () => {
      ({ model, batch } = await loadBoth(bundle, 2, 'f32'));
    });
    afterAll(async () => {
      await batch?.dispose();
      await model?.dispose();
    });

    const openPairs = async () => {
      pairs = [new Pair(model, 'rows'), new Pair(model, 'rows'), new Pair(model, 'rows', 8)];
      await tell(batch, pairs.slice(0, 2), random, 4, 'before');
    };

    it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e30])('%f stays in its rows', async (poison) => {
      await openPairs();
      const calls = pairs.map((pair) => pair.draw(random, 6));
      const poisoned = new Float32Array(5 * model.width).fill(0.5);
      poisoned[2 * model.width + 3] = poison;
      for (const call of calls.slice(1)) {
        call.input = { kind: 'rows', rows: poisoned };
        call.wanted = Int32Array.of(1, 4);
      }
      const outputs = await batch.forward(pairs.map(({ together }, i) => ({ stage: together, ...calls[i]! })));
      for (const [i, pair] of pairs.entries()) {
        const { input, wanted } = calls[i]!;
        await expectSame(outputs[i]!, await pair.alone.forward(input, wanted), pair, `${poison}, session ${i}`);
      }
      // Its slot, given to another right behind it.
      await tell(batch, [pairs[0]!, new Pair(model, 'rows')], random, 3, 'behind it');
    });

    it('one that has no room is told so, and the others run', async () => {
      await openPairs();
      const calls = pairs.map((pair) => pair.draw(random, 4));
      calls[2]!.input = { kind: 'rows', rows: new Float32Array(9 * model.width) };
      const outputs = await batch.forward(pairs.map(({ together }, i) => ({ stage: together, ...calls[i]! })));
      expect(outputs[2]).toMatchObject({ code: 'CONTEXT_TOO_LONG' });
      expect(pairs[2]!.together.length).toBe(0);
      for (const i of [0, 1]) {
        const { input, wanted } = calls[i]!;
        await expectSame(outputs[i]!, await pairs[i]!.alone.forward(input, wanted), pairs[i]!, `session ${i}`);
      }
    });

    it('one that is closed meanwhile is told so, and the others run', async () => {
      await openPairs();
      const calls = pairs.map((pair) => pair.draw(random, 4));
      const running = batch.forward(pairs.map(({ together }, i) => ({ stage: together, ...calls[i]! })));
      pairs[1]!.together.dispose();
      const outputs = await running;
      expect(outputs[1]).toMatchObject({ code: 'DISPOSED' });
      for (const i of [0, 2]) {
        const { input, wanted } = calls[i]!;
        await expectSame(outputs[i]!, await pairs[i]!.alone.forward(input, wanted), pairs[i]!, `session ${i}`);
      }
    });
  });
});

/** Learned positions, sliding windows, norms of heads, rotation of some layers only: all of them go through the rewriting. */
describe.each(FIXTURE_NAMES)('sessions of %s that run together', (name) => {
  it('have the bits that each has alone', async () => {
    const { directory } = await readFixture(name);
    const out = await temporaryFolder('architecture-batch');
    folders.push(out);
    await prepareBundle({ checkpoint: directory, exits: [], cut: 2, formats: ['f32'], out });
    const bundle = await openBundle(out);
    for (const [index, { input }] of bundle.manifest.stages.entries()) {
      const { model, batch } = await loadBoth(bundle, index, 'f32');
      const capacity = Math.min(CAPACITY, bundle.manifest.contextLength);
      const pairs = Array.from({ length: 4 }, () => new Pair(model, input, capacity));
      await tell(batch, pairs, seededRandom(5), capacity < CAPACITY ? 8 : 14, name);
      for (const pair of pairs) pair.dispose();
      await batch.dispose();
      await model.dispose();
    }
  });
});
