import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { rollingEntropy, type SessionOptions } from '@tandem/edge';
import { seededRandom } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import type { StoryJob, StoryReport } from '../support/story-process.js';
import { OPENINGS } from '../support/tales.js';

const PROGRAM = fileURLToPath(new URL('../dist/support/story-process.js', import.meta.url));
/** Nobody listens there. */
const NOWHERE = 'ws://127.0.0.1:1';

class StoryProcess {
  readonly child: ChildProcess = fork(PROGRAM, { serialization: 'advanced' });

  async ask(job: StoryJob): Promise<StoryReport> {
    this.child.send(job);
    const [report] = (await once(this.child, 'message')) as [StoryReport];
    expect(report.error).toBeUndefined();
    return report;
  }
}

/** A story is saved in one process at a random token and told on in another: the text is that of one process. */
describe('a saved session', () => {
  let bench: Bench;
  let first: StoryProcess;
  let second: StoryProcess;
  const random = seededRandom(41);

  beforeAll(async () => {
    bench = await startBench('q8');
    first = new StoryProcess();
    second = new StoryProcess();
    await Promise.all([first, second].map((one) => one.ask({ kind: 'load', bundle: bench.bundle })));
  });
  afterAll(async () => {
    first.child.kill();
    second.child.kill();
    await bench.close();
  });

  const rules = { temperature: 0.8, seed: 11, maxOutputTokens: 60 };

  async function saveAndGoOn(
    opening: string,
    options: SessionOptions & { cloud?: { url: string; unavailableAfterMs?: number } },
    limit?: number,
  ): Promise<StoryReport> {
    const saveAt = 1 + Math.floor(random.next() * (rules.maxOutputTokens - 1));
    const policy = limit === undefined ? {} : { rollingEntropy: limit };
    const { bytes } = await first.ask({ kind: 'tell', opening, options, rules, saveAt, ...policy });
    const report = await second.ask({ kind: 'restore', bytes: bytes!, url: options.cloud?.url, ...policy });
    expect(report.first, `saved at ${saveAt}`).toBeGreaterThanOrEqual(saveAt);
    expect(report.shown).toBe(report.text);
    return report;
  }

  it.each([0, 1, 2])('exact: the text of the unsplit run (%d)', async (round) => {
    const opening = OPENINGS[20 + round]!;
    const { tokens } = await saveAndGoOn(opening, { mode: 'exact', cloud: { url: bench.server.url } });
    expect(tokens).toEqual(await tellUnsplit(bench, { opening, ...rules }));
  });

  it.each([0, 1])('cloud-only: the text of the unsplit run (%d)', async (round) => {
    const opening = OPENINGS[30 + round]!;
    const { tokens } = await saveAndGoOn(opening, { mode: 'cloud-only', cloud: { url: bench.server.url } });
    expect(tokens).toEqual(await tellUnsplit(bench, { opening, ...rules }));
  });

  it.each([0, 1])('collaborative: the text of a session that was never saved (%d)', async (round) => {
    const opening = OPENINGS[40 + round]!;
    const options = { mode: 'collaborative', threshold: [0.9, 0.6] } satisfies Partial<SessionOptions>;
    const whole = await tell(bench, { opening, ...rules }, undefined, options);
    const origins = new Set(whole.tokens.map(({ origin }) => origin.kind === 'exit' && !origin.verified));
    expect(origins.size, 'both sides decide').toBe(2);
    const { tokens } = await saveAndGoOn(opening, { ...options, cloud: { url: bench.server.url } });
    expect(tokens).toEqual(whole.tokens.map(({ id }) => id));
  });

  it.each([0, 1])('collaborative under a policy that looks back at tokens before the save (%d)', async (round) => {
    const opening = OPENINGS[44 + round]!;
    const limit = 0.9;
    const whole = await tell(bench, { opening, ...rules }, undefined, {
      mode: 'collaborative',
      policy: rollingEntropy(limit, 32),
    });
    const cloud = { url: bench.server.url };
    const { tokens } = await saveAndGoOn(opening, { mode: 'collaborative', cloud }, limit);
    expect(tokens).toEqual(whole.tokens.map(({ id }) => id));
  });

  it('offline: device-only, and where the server is away', async () => {
    const opening = OPENINGS[50]!;
    const alone = await tell(bench, { opening, ...rules }, undefined, { mode: 'device-only', cloud: undefined });
    const offline = await saveAndGoOn(opening, { mode: 'device-only' });
    expect(offline.tokens).toEqual(alone.tokens.map(({ id }) => id));
    const cloud = { url: NOWHERE, unavailableAfterMs: 100 };
    const degraded = await tell(bench, { opening, ...rules }, undefined, { cloud, onCloudUnavailable: 'degrade' });
    const away = await saveAndGoOn(opening, { mode: 'exact', cloud });
    expect(away.tokens).toEqual(degraded.tokens.map(({ id }) => id));
  });
});
