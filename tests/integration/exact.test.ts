import { ROW_CODEC_NAMES, seededRandom } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { expectEqualStories, FORMATS, LINKS, TEMPERATURES } from '../support/exactness-matrix.js';
import { OPENINGS } from '../support/tales.js';

/** The oracle over real sockets: exact mode equals the unsplit run. All hundred openings are in tests/long. */
describe.each(FORMATS)('exact equals unsplit, %s stages', (format) => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench(format);
  });
  afterAll(() => bench.close());

  describe.each(Object.entries(LINKS))('%s', (_name, link) => {
    it.each(TEMPERATURES)('temperature %d', async (temperature) => {
      await expectEqualStories(bench, OPENINGS.slice(0, 12), temperature, 40, link);
    });
  });
});

describe('what must not change the text', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench('q8');
  });
  afterAll(() => bench.close());
  const story = { opening: OPENINGS[3]!, temperature: 0.8, seed: 11, maxOutputTokens: 40 };

  it('the mode: cloud-only tells the story of the unsplit model', async () => {
    const unsplit = await tellUnsplit(bench, story);
    const cloudOnly = await tell(bench, story, undefined, { mode: 'cloud-only' });
    expect(cloudOnly.tokens.map(({ id }) => id)).toEqual(unsplit);
    expect(cloudOnly.transfer.roundTrips).toBe(1);
  });

  it.each(ROW_CODEC_NAMES)('the split, whatever the codec: %s', async (codec) => {
    const unsplit = await tellUnsplit(bench, story, codec);
    const split = await tell(bench, story, undefined, { codec });
    expect(split.tokens.map(({ id }) => id)).toEqual(unsplit);
  });

  it('the draft length', async () => {
    const unsplit = await tellUnsplit(bench, story);
    for (const draftLength of [0, 1, 3, 32]) {
      const split = await tell(bench, story, undefined, { draftLength });
      expect(split.tokens.map(({ id }) => id)).toEqual(unsplit);
    }
  });

  it('drafting ahead while verdicts are under way', async () => {
    const unsplit = await tellUnsplit(bench, story);
    for (const [draftLength, cloudPrice, draftFloor, branches] of [
      [12, 0, 0, true],
      [8, 1, 0, false],
      [16, 4, 0.1, true],
      [32, 0.3, 0, true],
    ] as const) {
      const link = { rttMs: 30, jitterMs: 10 };
      const split = await tell(bench, story, link, { draftLength, cloudPrice, draftFloor, branches });
      expect(split.tokens.map(({ id }) => id)).toEqual(unsplit);
    }
  });

  it('a prompt that goes up as token ids', async () => {
    // Long enough to weigh more than the drafts that a slow machine makes one time and another time does not.
    const prompt = { ...story, opening: OPENINGS.slice(0, 10).join(' ') };
    const unsplit = await tellUnsplit(bench, prompt);
    const bytesUp: number[] = [];
    for (const promptAs of ['rows', 'tokens'] as const) {
      const split = await tell(bench, prompt, LINKS['4g with three cuts'], { promptAs });
      expect(split.tokens.map(({ id }) => id)).toEqual(unsplit);
      bytesUp.push(split.transfer.bytesUp);
    }
    expect(bytesUp[1]).toBeLessThan(bytesUp[0]!);
  });

  it('threads of the device', async () => {
    const { EdgeModel } = await import('@tandem/edge');
    const model = await EdgeModel.load(bench.bundle, { format: 'q8', threads: 2 });
    const split = await tell({ ...bench, model }, story);
    expect(split.tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, story));
    await model.dispose();
  });

  it('a text before it in the same session', async () => {
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const random = seededRandom(5);
    for (let turn = 0; turn < 6; turn++) {
      const opening = OPENINGS[Math.floor(random.next() * 3)]!.slice(0, 20 + Math.floor(random.next() * 30));
      const turnStory = { ...story, opening, seed: turn, maxOutputTokens: 12 };
      const { tokens } = await session.generate(opening, turnStory.seed === undefined ? {} : pick(turnStory));
      expect(tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, turnStory));
    }
    await session.dispose();
  });
});

function pick({ temperature, seed, maxOutputTokens }: { temperature: number; seed: number; maxOutputTokens: number }) {
  return { temperature, seed, maxOutputTokens };
}
