import {
  RealHeads,
  ReplayEngine,
  ReplayModel,
  TokenTrie,
  tellCeCollm,
  tellCoLocated,
  tellInSession,
  type VirtualSetting,
} from '@tandem/bench/testing';
import { Acceptance, loadTokenizer } from '@tandem/edge/testing';
import { VirtualClock } from '@tandem/netsim';
import { generateUnsplit, PROFILES, type Random, type StepRequest, seededRandom } from '@tandem/shared';
import { openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** Virtual time says how long a step takes; what it chooses has to be what the real engine chooses. */
let small: SmallBundle;
beforeAll(async () => {
  small = await makeSmallBundle(1, { tiedHead: false });
});
afterAll(() => small.remove());

const SAMPLINGS = [0, 0.8].map((temperature) => ({ temperature, topK: 0, topP: 1, minP: 0, seed: 3 }));

describe.each(SAMPLINGS)('replay engine at temperature $temperature', (sampling) => {
  it('answers random steps on both sides of the cut as the real engine does', async () => {
    const { deviceStages, stages, vocabularySize } = small.engine.info;
    const random = seededRandom(5);
    const model = new ReplayModel(headsOf(sampling));
    const device = await Twins.open(model, 'device', 0, deviceStages);
    const cloud = await Twins.open(model, 'cloud', deviceStages, stages);
    let rows: Row[] = [];
    let aside = { from: -1, rows, count: 0 };
    let length = 0;
    let cloudLength = 0;
    for (let round = 0; round < 60; round++) {
      // Now and then both sides go back.
      length = random.next() < 0.2 ? Math.floor(random.next() * length) : length;
      rows.length = Math.min(rows.length, length);
      if (length < aside.from) aside = { from: -1, rows: [], count: 0 };
      const exchange: number[] = [];
      if (length > 1 && random.next() < 0.3) {
        const at = aside.from > 0 && random.next() < 0.7 ? aside.from : 1 + pick(random, length - 1);
        exchange.push(at);
        const [tail, count] = aside.from === at ? [aside.rows, aside.count] : [[], 0];
        aside = { from: at, rows: rows.slice(at), count: length - at };
        rows = [...rows.slice(0, at), ...tail];
        length = at + count;
        cloudLength = Math.min(cloudLength, at);
      }
      cloudLength = Math.min(cloudLength, length);
      const tokens = Array.from({ length: 1 + Math.floor(random.next() * 3) }, () => pick(random, vocabularySize));
      const input = { kind: 'tokens', tokens: Int32Array.from(tokens) } as const;
      const want = [length + tokens.length - 1];
      let choice = -1;
      for (let depth = 1; depth <= (random.next() < 0.3 ? 1 : deviceStages); depth++) {
        const at = depth === 1 ? { exchange, from: length, input } : { from: want[0]! + 1 };
        const answer = await device.step({ session: 'device', ...at, depth, want, drafts: [], sampling });
        rows.push(...answer.rows);
        choice = answer.choice;
      }
      length += tokens.length;
      if (rows.length < length || length > 60) continue;
      // The device's choice is a draft that the cloud confirms or not; a token of chance is mostly not confirmed.
      const drafts = [random.next() < 0.5 ? choice : pick(random, vocabularySize)];
      const request = { session: 'cloud', depth: stages - deviceStages, want, drafts, sampling };
      const confirmed = await cloud.step({ ...request, from: cloudLength }, rows.slice(cloudLength));
      cloudLength = confirmed.length;
    }
    expect(device.steps + cloud.steps).toBeGreaterThan(60);
  });

  it('remembers across runs', async () => {
    const model = new ReplayModel(headsOf(sampling));
    const node = model.node([1, 2, 3]);
    const asked = await model.choice(node, 2);
    const restored = new ReplayModel(headsOf(sampling), TokenTrie.restore(structuredClone(model.trie.save())));
    expect(restored.choice(restored.node([1, 2, 3]), 2)).toEqual(asked);
    expect(await small.choice([1, 2, 3], sampling)).toEqual(asked);
  });

  it('tells in every way what the unsplit model tells', async () => {
    const { manifest, tokenizer } = await bundleOf();
    const profile = PROFILES['ce-collm-7b']!;
    const model = new ReplayModel(headsOf(sampling));
    const setting: VirtualSetting = {
      model,
      manifest,
      format: 'f32',
      profile,
      rttMs: 20,
      sampling,
      seed: 1,
      acceptance: new Acceptance(),
    };
    const promptTokens = tokenizer.encode('ab');
    const story = { prompt: 'ab', promptTokens, maxOutputTokens: 12 };
    const unsplit = await generateUnsplit(small.engine, {
      prompt: promptTokens,
      maxOutputTokens: 12,
      sampling,
      codec: 'f32',
      eosTokenIds: manifest.eosTokenIds,
    });
    const session = { mode: 'exact', codec: 'f32' } as const;
    const exact = await tellInSession(setting, story, { tokenizer, session, hasExits: true });
    expect(exact.tokens).toEqual(unsplit);
    const headless = await tellInSession(setting, story, { tokenizer, session, hasExits: false });
    expect(headless.tokens).toEqual(unsplit);
    expect(headless.waitedRoundTrips).toBe(unsplit.length);
    const coLocated = await tellCoLocated(setting, story, { exit: 2, draftLength: 3, floor: 0 });
    expect(coLocated.tokens).toEqual(unsplit);
    // A head of random weights is never as sure as CE-CoLLM's threshold: every token is the cloud's.
    const ceCollm = await tellCeCollm(setting, story);
    expect(ceCollm.tokens).toEqual(unsplit);
    expect(ceCollm.waitedRoundTrips).toBe(unsplit.length);
  });
});

/** Encoded, by the real engine and by the replaying one. */
interface Row {
  real: Uint8Array;
  replay: Uint8Array;
}

/** The real engine and the replaying one in step: whatever one answers, the other has to. */
class Twins {
  readonly #replay: ReplayEngine;
  steps = 0;

  private constructor(replay: ReplayEngine) {
    this.#replay = replay;
  }

  static async open(model: ReplayModel, session: string, firstStage: number, endStage: number): Promise<Twins> {
    const { info } = small.engine;
    const clock = new VirtualClock();
    const replay = new ReplayEngine({ model, info, clock, stageMs: [0, 0, 0], furtherRowShare: 0 });
    const open = { session, firstStage, endStage, capacity: info.contextLength, codec: 'f32' } as const;
    await Promise.all([small.engine.open(open), replay.open(open)]);
    void keepRunning(clock);
    return new Twins(replay);
  }

  async step(request: StepRequest, input?: readonly Row[]): Promise<{ rows: Row[]; choice: number; length: number }> {
    this.steps++;
    const bytes = (of: keyof Row) =>
      input ? { input: { kind: 'encoded-rows', bytes: Buffer.concat(input.map((row) => row[of])) } as const } : {};
    const real = await small.engine.step({ ...request, ...bytes('real') });
    const replay = await this.#replay.step({ ...request, ...bytes('replay') });
    const { encodedRows, engineMs, ...rest } = real;
    const { encodedRows: replayRows, engineMs: profileMs, ...replayRest } = replay;
    expect(replayRest).toEqual(rest);
    expect(replayRows.length).toBe(encodedRows.length);
    const size = 4 * small.engine.info.width;
    const rows = Array.from({ length: encodedRows.length / size }, (_, i) => {
      const part = (all: Uint8Array) => all.slice(i * size, (i + 1) * size);
      return { real: part(encodedRows), replay: part(replayRows) };
    });
    return { rows, choice: real.choices.at(-1)?.token ?? -1, length: real.length };
  }
}

/** Steps here take no time, but they wait for it all the same. */
async function keepRunning(clock: VirtualClock): Promise<void> {
  for (let round = 0; round < 10_000; round++) await clock.advance(1);
}

function pick(random: Random, count: number): number {
  return Math.floor(random.next() * count);
}

function headsOf(sampling: StepRequest['sampling']): RealHeads {
  return new RealHeads({ engine: small.engine, codec: 'f32', sampling, hasHead: [true, true, true] });
}

async function bundleOf() {
  const bundle = await openBundle(small.directory);
  const entry = bundle.manifest.tokenizer.find(({ file }) => file === 'tokenizer.json')!;
  const tokenizer = loadTokenizer(await bundle.readVerified(entry), bundle.manifest.bosTokenId);
  return { manifest: bundle.manifest, tokenizer };
}
