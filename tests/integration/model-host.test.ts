import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EdgeModel, isTandemError } from '@tandem/edge';
import type { Connect } from '@tandem/shared';
import { firstValueFrom, skipWhile } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** The same API, with everything behind it in another thread or process. On the real model and a real server. */
let bench: Bench;
beforeAll(async () => {
  bench = await startBench('q8');
});
afterAll(() => bench.close());

const opening = OPENINGS[14]!;
const rules = { temperature: 0.8, seed: 6, maxOutputTokens: 30 };
const options = { format: 'q8', threads: 1 } as const;
const cloud = () => ({ url: bench.server.url });

const HOST = fileURLToPath(import.meta.resolve('@tandem/edge/host'));

describe('a model in a worker', () => {
  let model: EdgeModel;
  beforeAll(async () => {
    model = await EdgeModel.load(bench.bundle, { ...options, worker: true });
  });
  afterAll(() => model.dispose());

  it('is as the one here', () => {
    expect(model.manifest).toEqual(bench.model.manifest);
    expect([model.backend, model.format]).toEqual([bench.model.backend, bench.model.format]);
    expect(model.tokenizer.encode(opening)).toEqual(bench.model.tokenizer.encode(opening));
    expect(model.hasChatTemplate).toBe(false);
    expect(() => model.applyChatTemplate([])).toThrow(/INVALID_OPTION: chat: tales has no chat template/);
  });

  it.each(['exact', 'cloud-only'] as const)('%s: tells the text of the unsplit run, in parts', async (mode) => {
    const session = await model.createSession({ mode, cloud: cloud() });
    const settled: number[] = [];
    session.events$.subscribe((event) => {
      if (event.kind === 'settled') settled.push(event.token);
    });
    const generation = session.generate(opening, rules);
    let text = '';
    let parts = 0;
    for await (const part of generation) {
      text += part.text;
      parts++;
    }
    const result = await generation;
    expect(parts).toBeGreaterThan(20);
    expect(text).toBe(result.text);
    const ids = result.tokens.map(({ id }) => id);
    expect(ids).toEqual(await tellUnsplit(bench, { opening, ...rules }));
    expect(settled).toEqual(ids);
    expect(result.transfer.roundTrips).toBeGreaterThan(0);
    await session.dispose();
  });

  it('is interrupted, goes on, is saved there and restored here, and the other way round', async () => {
    const right = await tellUnsplit(bench, { opening, ...rules });
    const session = await model.createSession({ cloud: cloud() });
    const first = session.generate(opening, rules);
    let bytes: Uint8Array | undefined;
    let told = 0;
    for await (const { tokens } of first) {
      told += tokens.length;
      if (told === 8) bytes = await session.save();
      if (told >= 12) break;
    }
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await session.continue()).tokens.map(({ id }) => id)).toEqual(right);
    const here = await bench.model.restoreSession(bytes!, { cloud: cloud() });
    expect((await here.continue()).tokens.map(({ id }) => id)).toEqual(right);
    const there = await model.restoreSession(bytes!, { cloud: cloud() });
    expect((await there.continue()).tokens.map(({ id }) => id)).toEqual(right);
    await Promise.all([session.dispose(), here.dispose(), there.dispose()]);
  });

  it('asks the app for address and credential, and tells the state of the connection', async () => {
    const asked: string[] = [];
    const url = () => {
      asked.push('url');
      return bench.server.url;
    };
    const token = async () => {
      asked.push('token');
      return 'any';
    };
    const session = await model.createSession({ cloud: { url, token } });
    await firstValueFrom(session.connection$.pipe(skipWhile(({ state }) => state !== 'open')));
    expect(session.connection).toBe('open');
    expect(asked).toEqual(['url', 'token']);
    await session.dispose();
    expect(session.connection).toBe('closed');
    const signedOut = () => Promise.reject(new Error('signed out'));
    const failing = await model.createSession({ cloud: { ...cloud(), token: signedOut } });
    const failed = await firstValueFrom(failing.connection$.pipe(skipWhile(({ state }) => state !== 'failed')));
    expect(failed.error).toMatchObject({ code: 'UNAUTHORIZED', retryable: false });
    await expect(failing.generate(opening)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await failing.dispose();
  });

  it('fails as the one here does: same codes, same details, and the text so far', async () => {
    const session = await model.createSession({ cloud: cloud() });
    await expect(session.generate(OPENINGS.join(' ').repeat(2))).rejects.toMatchObject({
      code: 'CONTEXT_TOO_LONG',
      details: { capacity: model.manifest.contextLength },
    });
    await expect(session.generate(opening, { maxTokens: 4 } as never)).rejects.toThrow(/unknown option maxTokens/);
    const stop = new AbortController();
    const generation = session.generate(opening, { ...rules, maxOutputTokens: 300, signal: stop.signal });
    let text = '';
    for await (const part of generation) {
      text += part.text;
      if (text.length > 20) break;
    }
    const error = await generation.then(undefined, (cause: unknown) => cause);
    expect(isTandemError(error) && error.code).toBe('ABORTED');
    expect(String(isTandemError(error) && error.details.text).startsWith(text)).toBe(true);
    stop.abort();
    await expect(session.generate(opening, { signal: stop.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await session.dispose();
    await expect(session.generate(opening)).rejects.toMatchObject({ code: 'DISPOSED' });
    const policy = { name: 'mine', isConfident: () => true };
    await expect(model.createSession({ cloud: cloud(), policy })).rejects.toThrow(/INVALID_OPTION: policy: a function/);
    const wrapTransport = (connect: Connect) => connect;
    await expect(model.createSession({ cloud: { ...cloud(), wrapTransport } })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
    });
  });
});

it('what cannot be loaded is told with its code, and the worker ends', async () => {
  const missing = EdgeModel.load('nowhere', { worker: true });
  await expect(missing).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
  const aborted = EdgeModel.load(bench.bundle, { worker: true, signal: AbortSignal.abort() });
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
  const unknown = EdgeModel.load(bench.bundle, { worker: true, thread: 2 } as never);
  await expect(unknown).rejects.toThrow(/unknown option thread/);
});

it('a process that is killed in mid-story: a typed error, and another one goes on with what was saved', async () => {
  const child = fork(HOST, { serialization: 'advanced' });
  const model = await EdgeModel.connect(child, bench.bundle, options);
  const session = await model.createSession({ cloud: cloud() });
  let bytes: Uint8Array | undefined;
  const reading = (async () => {
    for await (const _part of session.generate(opening, rules)) {
      if (bytes) continue;
      bytes = await session.save();
      child.kill('SIGKILL');
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'ENGINE_FAILED', retryable: true });
  await expect(session.save()).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  await session.dispose();
  await model.dispose();
  const restored = await bench.model.restoreSession(bytes!, { cloud: cloud() });
  expect((await restored.continue()).tokens.map(({ id }) => id)).toEqual(
    await tellUnsplit(bench, { opening, ...rules }),
  );
  await restored.dispose();
});
