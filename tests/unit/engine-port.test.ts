import { connectEngine, type Engine, type EngineInfo, type EnginePort, serveEngine, TandemError } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { settle } from '../support/manual-clock.js';

const INFO: EngineInfo = {
  model: 'm',
  format: 'f32',
  width: 4,
  vocabularySize: 9,
  contextLength: 16,
  stages: 3,
  deviceStages: 2,
};
const SESSION = { session: 's', firstStage: 0, endStage: 2, capacity: 8, codec: 'f32' } as const;

/** Two ends of a message channel that copies what it carries, as a worker's does. */
function channel(): { host: EnginePort; client: EnginePort; posted: unknown[] } {
  const posted: unknown[] = [];
  const listeners: { host?: (message: unknown) => void; client?: (message: unknown) => void } = {};
  const end = (own: 'host' | 'client', other: 'host' | 'client'): EnginePort => ({
    post: (message) => {
      const copy = structuredClone(message);
      if (own === 'client') posted.push(copy);
      queueMicrotask(() => listeners[other]?.(copy));
    },
    listen: (listener) => {
      listeners[own] = listener;
    },
  });
  return { host: end('host', 'client'), client: end('client', 'host'), posted };
}

/** An engine whose calls end when the test says so. */
class SlowEngine implements Engine {
  readonly info = INFO;
  readonly running: { name: string; end: (error?: unknown) => void }[] = [];

  open = (session: { session: string }) => this.#call(`open ${session.session}`);
  step = (request: { from: number }) => this.#call(`step ${request.from}`) as Promise<never>;
  close = (session: string) => this.#call(`close ${session}`);
  dispose = () => this.#call('dispose');

  #call(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.running.push({ name, end: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }
}

async function connect(inner: Engine) {
  const { host, client, posted } = channel();
  const connection = connectEngine(client);
  await serveEngine(host, async () => inner);
  return { engine: await connection.engine, lost: connection.lost, posted };
}

describe('an engine behind a port', () => {
  test('says who it is', async () => {
    const { engine } = await connect(new SlowEngine());
    expect(engine.info).toEqual(INFO);
  });

  test('answers numbered requests one after the other', async () => {
    const inner = new SlowEngine();
    const { engine, posted } = await connect(inner);
    const done: string[] = [];
    const first = engine.open(SESSION).then(() => done.push('open'));
    const second = engine.close('s').then(() => done.push('close'));
    await settle();
    expect(inner.running.map(({ name }) => name)).toEqual(['open s']);
    inner.running[0]!.end();
    await first;
    await settle();
    expect(inner.running.map(({ name }) => name)).toEqual(['open s', 'close s']);
    inner.running[1]!.end();
    await second;
    expect(done).toEqual(['open', 'close']);
    expect(posted).toMatchObject([
      { id: 0, method: 'open', argument: SESSION },
      { id: 1, method: 'close', argument: 's' },
    ]);
  });

  test.each<[unknown, string, string]>([
    [new TandemError('CONTEXT_TOO_LONG', 'too long'), 'CONTEXT_TOO_LONG', 'CONTEXT_TOO_LONG: too long'],
    [new RangeError('odd'), 'ENGINE_FAILED', 'ENGINE_FAILED: odd'],
    ['a string', 'ENGINE_FAILED', 'ENGINE_FAILED: a string'],
  ])('hands %s over with its code, and goes on', async (thrown, code, message) => {
    const inner = new SlowEngine();
    const { engine } = await connect(inner);
    const failing = engine.open(SESSION);
    await settle();
    inner.running[0]!.end(thrown);
    await expect(failing).rejects.toMatchObject({ name: 'TandemError', code, message });
    const next = engine.dispose();
    await settle();
    inner.running[1]!.end();
    await expect(next).resolves.toBeUndefined();
  });

  test('that cannot load is refused with its code', async () => {
    const { host, client } = channel();
    const connection = connectEngine(client);
    await serveEngine(host, () => Promise.reject(new TandemError('BUNDLE_CORRUPT', 'sha256')));
    await expect(connection.engine).rejects.toMatchObject({
      code: 'BUNDLE_CORRUPT',
      message: 'BUNDLE_CORRUPT: sha256',
    });
  });

  test('that is lost rejects what is under way and what comes later', async () => {
    const { engine, lost } = await connect(new SlowEngine());
    const reason = new TandemError('ENGINE_FAILED', 'stopped with code 134');
    const underWay = [engine.open(SESSION), engine.close('s')];
    lost(reason);
    for (const call of underWay) await expect(call).rejects.toBe(reason);
    await expect(engine.dispose()).rejects.toBe(reason);
  });

  test('that is lost before it was ready says so', async () => {
    const { client } = channel();
    const { engine, lost } = connectEngine(client);
    lost(new TandemError('ENGINE_FAILED', 'stopped'));
    await expect(engine).rejects.toThrow('ENGINE_FAILED: stopped');
  });

  test('carries what became of each of several steps', async () => {
    const inner = new SlowEngine();
    const done = { choices: [], mismatch: false, encodedRows: new Uint8Array(0), rowsFrom: 0, length: 3, engineMs: 1 };
    const stepTogether = async () => [
      done,
      new TandemError('CONTEXT_TOO_LONG', 'no room'),
      new Error('native trouble'),
    ];
    const { engine } = await connect(Object.assign(inner, { stepTogether }));
    const outcomes = await engine.stepTogether!([]);
    expect(outcomes[0]).toEqual(done);
    expect(outcomes[1]).toMatchObject({ code: 'CONTEXT_TOO_LONG', message: 'CONTEXT_TOO_LONG: no room' });
    expect(outcomes[2]).toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringContaining('native trouble') });
    expect(outcomes.slice(1).every((outcome) => outcome instanceof TandemError)).toBe(true);
  });
});
