import { type CloudServer, startServer } from '@tandem/cloud';
import { appraiseBatch } from '@tandem/cloud/testing';
import { EdgeModel, type GenerationResult } from '@tandem/edge';
import {
  type BatchInfo,
  type Clock,
  type Engine,
  generateUnsplit,
  limits,
  type StageForward,
  type StageOutput,
} from '@tandem/shared';
import { givesSameBits, loadChainEngine, loadStage, loadStageBatch, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask, askText } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

const OPENINGS = ['w3 w14 w15 w9 w26', 'w7 w1 w8 w28', 'w16 w18 w3 w39 w8', 'w5 w5 w10', 'w30 w2 w11', 'w21 w40'];
const STORY = { temperature: 0.8, seed: 3, maxOutputTokens: 40 };

let bundle: SmallBundle;
beforeAll(async () => {
  bundle = await makeSmallBundle();
});
afterAll(() => bundle?.remove());

describe('a server that runs several sessions at once', () => {
  let server: CloudServer;
  let model: EdgeModel;

  beforeAll(async () => {
    server = await startServer({ model: bundle.directory, port: 0, threads: 1, batchSessions: 4, logLevel: 'silent' });
    model = await EdgeModel.load(bundle.directory, { format: 'f32', threads: 1 });
  });
  afterAll(async () => {
    await model?.dispose();
    await server?.close();
  });

  async function tellAll(onTokens = (_told: number) => {}): Promise<void> {
    const modes = ['exact', 'exact', 'cloud-only'] as const;
    const stories = OPENINGS.map(async (opening, i) => {
      const mode = modes[i % modes.length]!;
      const session = await model.createSession({ mode, onCloudUnavailable: 'wait', cloud: { url: server.url } });
      const generation = session.generate(opening, STORY);
      for await (const { tokens } of generation) onTokens(tokens.length);
      const told = await generation;
      await session.dispose();
      return told;
    });
    const told = await Promise.all(stories);
    for (const [i, opening] of OPENINGS.entries()) expect(ids(told[i]!), opening).toEqual(await unsplit(opening));
  }

  const unsplit = (opening: string) =>
    generateUnsplit(bundle.engine, {
      prompt: model.tokenizer.encode(opening),
      maxOutputTokens: STORY.maxOutputTokens,
      sampling: { temperature: STORY.temperature, topK: 0, topP: 1, minP: 0, seed: STORY.seed },
      codec: 'f16',
      eosTokenIds: model.manifest.eosTokenIds,
      session: opening,
    });
  const ids = ({ tokens }: GenerationResult) => tokens.map(({ id }) => id);

  async function runs(): Promise<{ count: number; sessions: number }> {
    const { text } = await askText(server.port, '/metrics');
    const value = (name: string) => Number(text.match(new RegExp(`^${name} (.*)$`, 'm'))?.[1] ?? 0);
    return { count: value('tandem_step_sessions_count'), sessions: value('tandem_step_sessions_sum') };
  }

  it('says so', async () => {
    const { body } = await ask(server.port, '/v1/info');
    expect(body).toMatchObject({
      engine: { batch: { slots: 4, from: { singles: 2, verifies: 2 }, why: 'asked for' } },
    });
  });

  it('tells what the unsplit model tells, in both modes side by side', async () => {
    const before = await runs();
    await tellAll();
    const after = await runs();
    expect(after.sessions - before.sessions).toBeGreaterThan(1.2 * (after.count - before.count));
  });

  it('does so when its engine is killed in the middle, and the next one is alike', async () => {
    const [killed] = server.engineProcessIds;
    let told = 0;
    await tellAll((tokens) => {
      const before = told;
      told += tokens;
      if (before < 30 && told >= 30) process.kill(killed!, 'SIGKILL');
    });
    await expect.poll(() => server.engineProcessIds[0]).not.toBe(killed);
    const before = await runs();
    await tellAll();
    const after = await runs();
    expect(after.sessions - before.sessions).toBeGreaterThan(1.2 * (after.count - before.count));
  });
});

describe('an engine as it is loaded', () => {
  const load = (batchSlots?: number) =>
    loadChainEngine({ directory: bundle.directory, format: 'f32', threads: 1, preload: 'cloud-stages', batchSlots });

  it('takes one session at a time unless it is told otherwise', async () => {
    for (const slots of [undefined, 1]) {
      const engine = await load(slots);
      expect(engine.info.batch).toBeUndefined();
      await engine.dispose();
    }
    const engine = await load(3);
    expect(engine.info.batch).toMatchObject({ slots: 3, why: 'asked for' });
    await engine.dispose();
  });

  it('keeps to one where memory is short', async () => {
    const available = vi.spyOn(process, 'availableMemory').mockReturnValue(1_000);
    const engine = await load(3).finally(() => available.mockRestore());
    expect(engine.info.batch).toMatchObject({
      slots: 1,
      why: expect.stringMatching(/loading takes \d+ MiB, 0 are free/),
    });
    await engine.dispose();
  });

  it('runs them one by one where a stage has no batch, and tells each what became of it', async () => {
    const { engine } = bundle;
    const { stages: endStage } = engine.info;
    const sampling = { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 3 };
    const step = (session: string, tokens: number[]) => ({
      session,
      from: 0,
      input: { kind: 'tokens' as const, tokens: Int32Array.from(tokens) },
      depth: endStage,
      want: [tokens.length - 1],
      drafts: [],
      sampling,
    });
    const texts = [[3, 14, 15], [9, 2, 6, 5, 3], [5]];
    for (const index of texts.keys()) {
      await engine.open({ session: `${index}`, firstStage: 0, endStage, capacity: 8, codec: 'f32' });
    }
    const steps = texts.map((tokens, index) => step(`${index}`, tokens));
    const outcomes = await engine.stepTogether([...steps, step('nobody', [1])]);
    expect(outcomes.pop()).toMatchObject({ code: 'ENGINE_FAILED' });
    for (const [index, tokens] of texts.entries()) {
      const { token } = await bundle.choice(tokens, sampling);
      expect(outcomes[index]).toMatchObject({ choices: [{ token }] });
      await engine.close(`${index}`);
    }
  });

  it('compares every bit first', async () => {
    const opened = await openBundle(bundle.directory);
    const model = await loadStage(opened, 2, 'f32', { threads: 1 });
    const batch = (await loadStageBatch(opened, 2, 'f32', 4, { threads: 1 }))!;
    const check = { model, input: 'rows', contextLength: bundle.engine.info.contextLength } as const;
    expect(await givesSameBits(batch, check)).toBe(true);
    for (const part of ['rows', 'logits'] as const) {
      const lastBit = async (calls: readonly StageForward[]) => {
        const outputs = await batch.forward(calls);
        const last = outputs.at(-1) as StageOutput;
        new Uint32Array(last[part].buffer, last[part].byteOffset, last[part].length)[last[part].length - 1]! ^= 1;
        return outputs;
      };
      expect(await givesSameBits({ ...batch, slots: 4, forward: lastBit }, check), part).toBe(false);
    }
    const misplaced = (calls: readonly StageForward[]) => batch.forward(calls.toReversed());
    expect(await givesSameBits({ ...batch, slots: 4, forward: misplaced }, check)).toBe(false);
    await batch.dispose();
    await model.dispose();
  });
});

describe('what it is worth', () => {
  /** An engine whose steps take 1 ms a run and 1 ms a row alone, and so many of each together. */
  function timedEngine(together: { runMs: number; rowMs: number }) {
    let nowMs = 0;
    let isDropped = false;
    const result = {
      choices: [],
      mismatch: false,
      encodedRows: new Uint8Array(0),
      rowsFrom: 0,
      length: 0,
      engineMs: 0,
    };
    const take = (ms: number) => {
      nowMs += ms;
      return result;
    };
    const from = { singles: 2, verifies: 2 };
    const engine: Engine = {
      info: { ...bundle.engine.info, batch: { slots: 4, from, why: 'asked for' } },
      open: async () => {},
      step: async ({ want }) => take(1 + want.length),
      stepTogether: async (requests) => {
        const rows = requests.reduce((sum, { want }) => sum + want.length, 0);
        take(together.runMs + together.rowMs * rows);
        return requests.map(() => result);
      },
      dropBatches: async () => {
        isDropped = true;
      },
      close: async () => {},
      dispose: async () => {},
    };
    return { engine, clock: { now: () => nowMs } as Clock, isDropped: () => isDropped };
  }

  const appraise = async (together: { runMs: number; rowMs: number }, asked: number | 'auto' = 'auto') => {
    const { engine, clock, isDropped } = timedEngine(together);
    return { ...(await appraiseBatch(engine, asked, clock)), isDropped: isDropped() };
  };

  it('shows from how many sessions on', async () => {
    // Singles alone: 2 ms each; as one, four slots: 1 + 4 · 0.25 = 2 ms. Verifies alone: 8 ms each; as one 1 + 28 · 0.25 = 8 ms.
    expect(await appraise({ runMs: 1, rowMs: 0.25 })).toEqual({
      slots: 4,
      from: { singles: 2, verifies: 2 },
      gain: { singles: 4, verifies: 4 },
      why: 'measured',
      isDropped: false,
    });
    // As one 3.9 ms and 25.5 ms; 5.4 of them for the rows of a verify behind its first.
    expect((await appraise({ runMs: 0.3, rowMs: 0.9 })).from).toEqual({ singles: 3, verifies: 2 });
    // As one 4.88 ms and 19.76 ms.
    expect((await appraise({ runMs: 2.4, rowMs: 0.62 })).from).toEqual({ singles: 3, verifies: 2 });
  });

  it('gives the weights back where it is nothing', async () => {
    const { slots, gain, isDropped } = await appraise({ runMs: 4, rowMs: 1 });
    expect({ slots, gain, isDropped }).toEqual({ slots: 1, gain: { singles: 1, verifies: 1 }, isDropped: true });
  });

  it('is not asked by who gives a number', async () => {
    const { slots, from, gain, why, isDropped } = await appraise({ runMs: 4, rowMs: 1 }, 4);
    expect({ slots, from, why, isDropped }).toEqual({
      slots: 4,
      from: { singles: 2, verifies: 2 },
      why: 'asked for',
      isDropped: false,
    });
    expect(gain).toEqual({ singles: 1, verifies: 1 });
  });

  it('is not waited for', async () => {
    const slow = await appraise({ runMs: 6_000, rowMs: 0 });
    expect(slow).toMatchObject({ slots: 1, why: 'not measured within 5000 ms', isDropped: true });
  });

  it('shows on this machine, too', async () => {
    const measured = await startServer({ model: bundle.directory, port: 0, threads: 1, logLevel: 'silent' });
    const { body } = await ask(measured.port, '/v1/info');
    const { batch } = (body as { engine: { batch: BatchInfo } }).engine;
    expect(batch.why).toBe('measured');
    expect([1, limits.BATCH_SLOTS]).toContain(batch.slots);
    expect(batch.gain!.singles).toBeGreaterThan(0);
    await measured.close();
  });
});
