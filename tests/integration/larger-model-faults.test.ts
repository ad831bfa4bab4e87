import { type CloudServer, type Log, type ServerOptions, startServer } from '@tandem/cloud';
import type { GenerationResult, SessionEvent } from '@tandem/edge';
import { limits } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { post } from '../support/completion-client.js';
import { type Story, tellUnsplit } from '../support/exactness.js';
import {
  ALWAYS_UNSURE,
  type LargerModelBench,
  ownChoices,
  startLargerModelBench,
} from '../support/larger-model-bench.js';
import { FAULTS, type Script, startScriptedEndpoint, writes } from '../support/scripted-endpoint.js';
import { OPENINGS } from '../support/tales.js';

/** The larger model is slow, failing or gone: the small one goes on, with its own tokens. The rest is in unit tests. */
describe('larger model in trouble', () => {
  let bench: LargerModelBench;
  let unsplit: number[];
  beforeAll(async () => {
    bench = await startLargerModelBench();
    unsplit = await tellUnsplit(bench, story);
  });
  afterAll(() => bench.close());

  const story: Story = { opening: OPENINGS[2]!, temperature: 0, seed: 5, maxOutputTokens: 40 };
  const logged: { fields: Record<string, unknown>; text: string }[] = [];
  const note = (fields: Record<string, unknown>, text: string) => void logged.push({ fields, text });
  const log: Log = { debug: note, info: note, warn: note, error: note };

  interface Told {
    result: GenerationResult;
    states: string[];
  }

  async function tellAt(options: ServerOptions): Promise<Told> {
    logged.length = 0;
    const server = await startServer({ ...options, ...ALWAYS_UNSURE }, { log });
    try {
      return await tellOn(server);
    } finally {
      await server.close();
    }
  }

  async function tellOn(server: CloudServer): Promise<Told> {
    const cloud = { url: server.url };
    const session = await bench.model.createSession({ largerModel: 'allow', onCloudUnavailable: 'wait', cloud });
    const states: string[] = [];
    session.events$.subscribe((event: SessionEvent) => {
      if (event.kind === 'larger-model') states.push(event.state);
    });
    const { opening, ...settings } = story;
    const result = await session.generate(opening, settings);
    await session.dispose();
    return { result, states };
  }

  const ids = ({ tokens }: GenerationResult) => tokens.map(({ id }) => id);
  const failures = () => logged.filter(({ text }) => /larger model failed/.test(text));

  /** The text is the unsplit small model's, and after a few tries nobody was asked any more. */
  function expectSmallModelAlone({ result, states }: Told, reason: string): void {
    expect(ids(result)).toEqual(unsplit);
    const rounds = Array.from({ length: limits.LARGER_MODEL_FAILURES_MAX }, () => ['asked', 'gave-up']).flat();
    expect(states).toEqual(rounds);
    expect(failures().map(({ fields }) => fields.reason)).toEqual(rounds.slice(0, rounds.length / 2).map(() => reason));
    expect(JSON.stringify(logged)).not.toMatch(/canary|frog|leaf/);
  }

  it('gone: nobody listens at its address', async () => {
    const gone = await startScriptedEndpoint(writes());
    await gone.close();
    expectSmallModelAlone(await tellAt(bench.options(gone.port)), 'unreachable');
  });

  it('slow: the deadline passes, twice, and then no token waits any more', async () => {
    const slow = await startScriptedEndpoint(FAULTS['slow: headers and nothing more']!);
    const told = await tellAt({ ...bench.options(slow.port), largerModelTimeoutMs: 100 });
    expectSmallModelAlone(told, 'slow');
    expect(slow.asked).toHaveLength(limits.LARGER_MODEL_FAILURES_MAX);
    await slow.close();
  });

  it('refused: a real server with another key', async () => {
    const options = { model: bench.bundle, port: 0, threads: 1, format: 'f32', logLevel: 'silent' } as const;
    const guarded = await startServer({ ...options, completions: true, token: ['right'] });
    const told = await tellAt({ ...bench.options(guarded.port), largerModelKey: 'canary' });
    expectSmallModelAlone(told, 'refused');
    expect(failures()[0]?.fields.status).toBe(401);
    await guarded.close();
  });

  it('breaks off in mid-passage: what was written stays, the small model goes on behind it', async () => {
    // The larger model's own stream, cut after some of its words.
    const torn: Script = async (response, body) => {
      const answer = await post(bench.larger.port, body);
      response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') ?? '' });
      let events = 0;
      for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
        response.write(chunk);
        events += Buffer.from(chunk).toString().split('data: ').length - 1;
        if (events >= 5) return void response.destroy();
      }
    };
    const endpoint = await startScriptedEndpoint(torn);
    const { result } = await tellAt(bench.options(endpoint.port));
    const larger = result.tokens.filter(({ origin }) => origin.kind === 'larger-model');
    expect(larger.length).toBeGreaterThan(1);
    expect(larger.length).toBeLessThan(24);
    const context = [...bench.model.tokenizer.encode(story.opening), ...ids(result)];
    const own = await ownChoices(bench, context, story);
    for (const { id, position, origin } of result.tokens) {
      if (origin.kind !== 'larger-model') expect([position, id]).toEqual([position, own[position - 1]]);
    }
    expect(result.tokens).toHaveLength(story.maxOutputTokens);
    expect(failures().map(({ fields }) => fields.reason)).toContain('broken-off');
    await endpoint.close();
  });

  it('ends the text where the larger model ends it', async () => {
    const ending: Script = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const choices = [{ index: 0, text: ' And that was the end.', finish_reason: 'stop' }];
      response.end(`data: ${JSON.stringify({ choices })}\n\ndata: [DONE]\n\n`);
    };
    const endpoint = await startScriptedEndpoint(ending);
    const { result } = await tellAt(bench.options(endpoint.port));
    expect(result.finishReason).toBe('stop');
    expect(result.text).toMatch(/ And that was the end\.$/);
    expect(bench.model.manifest.eosTokenIds).toContain(result.tokens.at(-1)?.id);
    await endpoint.close();
  });

  it('a server that stops does not wait for it', async () => {
    const slow = await startScriptedEndpoint(FAULTS['slow: no headers']!);
    const server = await startServer({ ...bench.options(slow.port), largerModelTimeoutMs: 10_000 }, { log });
    const session = await bench.model.createSession({ largerModel: 'allow', cloud: { url: server.url } });
    const asked = new Promise<void>((resolve) => {
      session.events$.subscribe((event) => event.kind === 'larger-model' && resolve());
    });
    const generation = tellOnSession(session);
    await asked;
    const startedMs = performance.now();
    await server.close();
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    await session.dispose();
    await expect(generation).rejects.toMatchObject({ code: 'DISPOSED' });
    await slow.close();
  });

  function tellOnSession(session: Awaited<ReturnType<typeof bench.model.createSession>>): Promise<GenerationResult> {
    const { opening, ...settings } = story;
    const running = Promise.resolve(session.generate(opening, settings));
    running.catch(() => {});
    return running;
  }

  it('consent to a larger model without a server is a mistake', async () => {
    const options = { mode: 'device-only', largerModel: 'allow' } as const;
    await expect(bench.model.createSession(options)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/largerModel: device-only opens no socket/),
    });
  });
});
