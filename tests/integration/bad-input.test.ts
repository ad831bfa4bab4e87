import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '@tandem/cloud';
import { EdgeModel, type ErrorCode, isTandemError, type TandemError } from '@tandem/edge';
import { simulateLink } from '@tandem/netsim';
import type { Connect } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** What comes in wrong: a stable code, a message that says what to do, and nothing lost. */
describe('bad input', () => {
  let bench: Bench;
  let scratch: string;
  const story = { opening: OPENINGS[0]!, temperature: 0, seed: 1, maxOutputTokens: 24 };
  beforeAll(async () => {
    bench = await startBench('q8');
    scratch = mkdtempSync(join(tmpdir(), 'tandem-'));
  });
  afterAll(async () => {
    rmSync(scratch, { recursive: true });
    await bench.close();
  });

  /** A copy of the bundle to break. */
  function brokenBundle(name: string, breakIt: (folder: string) => void): string {
    const folder = join(scratch, name);
    cpSync(bench.bundle, folder, { recursive: true });
    breakIt(folder);
    return folder;
  }
  const stageFile = (folder: string) =>
    join(folder, JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')).stages[0].files.q8.file);

  it('a flipped byte in a stage file', async () => {
    const folder = brokenBundle('flipped', (copy) => {
      const bytes = readFileSync(stageFile(copy));
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(stageFile(copy), bytes);
    });
    const error = await failure(EdgeModel.load(folder, { format: 'q8' }));
    expectError(error, 'BUNDLE_CORRUPT', /sha256 .*prepare the bundle again/);
  });

  it('a missing stage file, a missing folder', async () => {
    const folder = brokenBundle('missing', (copy) => rmSync(stageFile(copy)));
    expectError(await failure(EdgeModel.load(folder, { format: 'q8' })), 'BUNDLE_NOT_FOUND', /prepare/);
    expectError(await failure(EdgeModel.load(join(scratch, 'nowhere'))), 'BUNDLE_NOT_FOUND', /tandem prepare/);
  });

  it('a format that the bundle lacks, an unknown option', async () => {
    expectError(await failure(EdgeModel.load(bench.bundle, { format: 'q4' })), 'INVALID_OPTION', /it has f32, q8/);
    const typo = { thread: 1 } as Parameters<typeof EdgeModel.load>[1];
    expectError(await failure(EdgeModel.load(bench.bundle, typo)), 'INVALID_OPTION', /thread.*known: .*threads/);
    const session = bench.model.createSession({ mode: 'exact' });
    expectError(await failure(session), 'INVALID_OPTION', /needs cloud/);
  });

  it('options of generate: refused, and the session goes on', async () => {
    const session = await bench.model.createSession({ mode: 'device-only' });
    for (const [options, hint] of [
      [{ temperature: -1 }, /temperature/],
      [{ topP: 0 }, /topP/],
      [{ maxTokens: 5 }, /maxTokens.*known: .*maxOutputTokens/],
    ] as const) {
      const generation = session.generate('Hello', options as Parameters<typeof session.generate>[1]);
      expectError(await failure(generation), 'INVALID_OPTION', hint);
    }
    const { tokens } = await session.generate(story.opening, { maxOutputTokens: 5 });
    expect(tokens).toHaveLength(5);
    await session.dispose();
  });

  it('a prompt that is longer than the context: refused before any work, and the session goes on', async () => {
    const session = await bench.model.createSession({ mode: 'device-only', capacity: 64 });
    const prompt = OPENINGS.join(' ');
    expectError(await failure(session.generate(prompt)), 'CONTEXT_TOO_LONG', /tokens, the session holds 64.*shorten/);
    const { finishReason, usage } = await session.generate(story.opening, { maxOutputTokens: 500 });
    expect(finishReason).toBe('length');
    expect(usage.totalTokens).toBe(64);
    await session.dispose();
  });

  it('a server with other weights, a server with another format', async () => {
    const other = brokenBundle('other', (copy) => {
      const manifest = JSON.parse(readFileSync(join(copy, 'manifest.json'), 'utf8'));
      manifest.fingerprint = '0'.repeat(64);
      writeFileSync(join(copy, 'manifest.json'), JSON.stringify(manifest));
    });
    for (const options of [
      { model: other, format: 'q8' },
      { model: bench.bundle, format: 'f32' },
    ] as const) {
      const server = await startServer({ ...options, port: 0, logLevel: 'silent' });
      // Even with degrade: a wrong model is a mistake to be told, not an outage to be hidden.
      const session = await bench.model.createSession({ cloud: { url: server.url }, onCloudUnavailable: 'degrade' });
      expectError(await failure(session.generate(story.opening)), 'MODEL_MISMATCH', /server/);
      await session.dispose();
      await server.close();
    }
  });

  it('a bad credential, none, and the right one', async () => {
    const server = await startServer({
      model: bench.bundle,
      format: 'q8',
      port: 0,
      logLevel: 'silent',
      token: ['right'],
    });
    for (const token of ['wrong', undefined]) {
      const session = await bench.model.createSession({ cloud: { url: server.url, ...(token ? { token } : {}) } });
      expectError(await failure(session.generate(story.opening)), 'UNAUTHORIZED', /cloud\.token/);
      await session.dispose();
    }
    const unsplit = await tellUnsplit(bench, story);
    const cloud = { url: server.url, token: async () => 'right' };
    const { tokens } = await tell(bench, story, undefined, { cloud });
    expect(tokens.map(({ id }) => id)).toEqual(unsplit);
    await server.close();
  });

  it('no server at all: degrade tells the story alone and says so, fail fails, wait waits until the signal', async () => {
    const cloud = { url: 'ws://127.0.0.1:9', unavailableAfterMs: 300 };
    const alone = await tell(bench, story, undefined, { cloud, onCloudUnavailable: 'degrade' });
    expect(alone.tokens).toHaveLength(story.maxOutputTokens);
    expect(alone.tokens.every(({ origin }) => origin.kind === 'exit' && origin.degraded)).toBe(true);
    const deviceOnly = await tell(bench, story, undefined, { mode: 'device-only' });
    expect(alone.text).toBe(deviceOnly.text);

    const failed = await failure(tell(bench, story, undefined, { cloud, onCloudUnavailable: 'fail' }));
    expectError(failed, 'CLOUD_UNAVAILABLE', /tandem-cloud/);
    expect(failed.retryable).toBe(true);

    const session = await bench.model.createSession({ cloud, onCloudUnavailable: 'wait' });
    const stop = new AbortController();
    const waiting = session.generate(story.opening, { signal: stop.signal });
    session.events$.subscribe((event) => {
      if (event.kind === 'connection' && event.state === 'unavailable') stop.abort();
    });
    expectError(await failure(waiting), 'ABORTED', /aborted/);
    await session.dispose();
  });

  it('a server that goes away in mid-story: the text so far is in the error', async () => {
    const server = await startServer({ model: bench.bundle, format: 'q8', port: 0, logLevel: 'silent' });
    // The link takes its time: on a quick one the story may be told before the server has gone.
    const wrapTransport = (connect: Connect) => simulateLink(connect, { rttMs: 40 }).connect;
    const session = await bench.model.createSession({
      cloud: { url: server.url, unavailableAfterMs: 300, wrapTransport },
      onCloudUnavailable: 'fail',
    });
    let told = '';
    const generation = session.generate(story.opening, { maxOutputTokens: 200 });
    const error = await failure(
      (async () => {
        for await (const part of generation) {
          told += part.text;
          if (told.length > 40) await server.close();
        }
      })(),
    );
    expectError(error, 'CLOUD_UNAVAILABLE', /./);
    expect(error.details.text).toBe(told);
    expect(told.length).toBeGreaterThan(40);
    await session.dispose();
  });

  it('a second generation at once, a disposed session, a disposed model', async () => {
    const session = await bench.model.createSession({ mode: 'device-only' });
    const first = session.generate(story.opening, { maxOutputTokens: 5 });
    expectError(await failure(session.generate(story.opening)), 'INVALID_OPTION', /second session/);
    await first;
    await session.dispose();
    expectError(await failure(session.generate(story.opening)), 'DISPOSED', /session/);
    const model = await EdgeModel.load(bench.bundle, { format: 'q8' });
    await model.dispose();
    expectError(await failure(model.createSession({ mode: 'device-only' })), 'DISPOSED', /load it again/);
  });
});

async function failure(promise: PromiseLike<unknown>): Promise<TandemError> {
  try {
    await promise;
  } catch (error) {
    if (isTandemError(error)) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

function expectError(error: TandemError, code: ErrorCode, message: RegExp): void {
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
}
