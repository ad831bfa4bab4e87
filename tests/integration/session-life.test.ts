import { EdgeModel, isTandemError, type Session, type TextPart } from '@tandem/edge';
import {
  Acceptance,
  loadTokenizer,
  openDeviceModel,
  parseOptions,
  Session as SessionClass,
  type SessionEvent,
  sessionOptionsSchema,
} from '@tandem/edge/testing';
import { simulateLink } from '@tandem/netsim';
import { newId, type StepRequest, systemClock, systemRandom } from '@tandem/shared';
import { firstValueFrom, skipWhile, toArray } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';

/** What a session does besides telling: connect, be interrupted, be saved. On the real model and a real server. */
describe('the life of a session', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench('q8');
  });
  afterAll(() => bench.close());
  const opening = OPENINGS[12]!;
  const rules = { temperature: 0.8, seed: 5, maxOutputTokens: 40 };
  const cloud = () => ({ url: bench.server.url });

  /** Ends the generation behind `count` tokens. */
  async function interrupt(session: Session, count: number): Promise<string> {
    let told = 0;
    let text = '';
    const generation = session.generate(opening, rules);
    for await (const part of generation) {
      told += part.tokens.length;
      text += part.text;
      if (told >= count) break;
    }
    await expect(generation).rejects.toMatchObject({ code: 'ABORTED' });
    return text;
  }

  it('tells the state of its connection to whoever asks, whenever, to the end', async () => {
    const session = await bench.model.createSession({ cloud: cloud() });
    const all = firstValueFrom(session.connection$.pipe(toArray()));
    await firstValueFrom(session.connection$.pipe(skipWhile(({ state }) => state !== 'open')));
    // Late, and told at once.
    expect(await firstValueFrom(session.connection$)).toEqual({ state: 'open' });
    expect(session.connection).toBe('open');
    await session.dispose();
    expect((await all).map(({ state }) => state)).toEqual(['connecting', 'open', 'closed']);
    const alone = await bench.model.createSession({ mode: 'device-only' });
    const states = firstValueFrom(alone.connection$.pipe(toArray()));
    await alone.dispose();
    expect(await states).toEqual([{ state: 'idle' }]);
  });

  it('tells why a connection failed', async () => {
    const token = () => Promise.reject(new Error('signed out'));
    const session = await bench.model.createSession({ cloud: { ...cloud(), token } });
    const failed = await firstValueFrom(session.connection$.pipe(skipWhile(({ state }) => state !== 'failed')));
    expect(failed.error?.code).toBe('UNAUTHORIZED');
    await session.dispose();
  });

  it('asks for its address and its credential for every connection, and says when they are none', async () => {
    const asked: string[] = [];
    const url = async () => {
      asked.push('url');
      return bench.server.url;
    };
    const token = () => {
      asked.push('token');
      return 'any';
    };
    const session = await bench.model.createSession({ cloud: { url, token } });
    const open = () => firstValueFrom(session.connection$.pipe(skipWhile(({ state }) => state !== 'open')));
    await open();
    session.reconnect();
    await open();
    expect(asked).toEqual(['url', 'token', 'url', 'token']);
    await session.dispose();
    const failures = [() => 'http://example.com', () => Promise.reject(new Error('no network')), () => 7 as never];
    for (const wrong of failures) {
      const lost = await bench.model.createSession({ cloud: { url: wrong } });
      const failed = await firstValueFrom(lost.connection$.pipe(skipWhile(({ state }) => state !== 'failed')));
      expect(failed.error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(/cloud\.url/) });
      await lost.dispose();
    }
  });

  it.each(['exact', 'cloud-only'] as const)(
    '%s: goes on where it was interrupted: all of the text in the first part, then the rest',
    async (mode) => {
      const session = await bench.model.createSession({ mode, cloud: cloud() });
      const shown = await interrupt(session, 15);
      const generation = session.continue();
      const parts: TextPart[] = [];
      for await (const part of generation) parts.push(part);
      expect(parts[0]!.text.startsWith(shown)).toBe(true);
      expect(parts[0]!.tokens.length).toBeGreaterThanOrEqual(15);
      expect(parts.slice(1).every(({ tokens }) => tokens.length <= 1)).toBe(true);
      const { tokens, text, usage } = await generation;
      expect(tokens.map(({ id }) => id)).toEqual(await tellUnsplit(bench, { opening, ...rules }));
      expect(parts.map((part) => part.text).join('')).toBe(text);
      expect(usage.outputTokens).toBe(40);
      await expect(session.continue()).rejects.toThrow(/^INVALID_OPTION: continue: no generation of this session/);
      await session.dispose();
    },
  );

  it('tells a settled token once, however often it goes on', async () => {
    const session = await bench.model.createSession({ cloud: cloud() });
    const settled: number[] = [];
    session.events$.subscribe((event) => {
      if (event.kind === 'settled') settled.push(event.position);
    });
    await interrupt(session, 12);
    const aborted = new AbortController();
    const again = session.continue({ signal: aborted.signal });
    for await (const _part of again) break;
    await expect(again).rejects.toMatchObject({ code: 'ABORTED' });
    await session.continue();
    expect(settled.length).toBe(new Set(settled).size);
    await session.dispose();
  });

  it('is restored twice, with its stop sequences, and once more when it is finished', async () => {
    const whole = await tell(bench, { opening, ...rules });
    const stop = whole.text.slice(100, 112);
    const stopped = whole.text.slice(0, whole.text.indexOf(stop));
    const session = await bench.model.createSession({ cloud: cloud() });
    let bytes: Uint8Array | undefined;
    let told = 0;
    for await (const { tokens } of session.generate(opening, { ...rules, stopSequences: [stop] })) {
      told += tokens.length;
      if (told === 6) bytes = await session.save();
    }
    await session.dispose();
    const restored = await bench.model.restoreSession(bytes!, { cloud: cloud() });
    const again = await bench.model.restoreSession(bytes!, { cloud: cloud() });
    const [one, other] = await Promise.all([restored.continue(), again.continue()]);
    expect(one.text).toBe(stopped);
    expect(other.text).toBe(stopped);
    expect(one.finishReason).toBe('stop');
    // What is finished stays so in the bytes.
    const finished = await bench.model.restoreSession(await restored.save(), { cloud: cloud() });
    await expect(finished.continue()).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const next = await finished.generate(opening, { ...rules, maxOutputTokens: 10 });
    expect(next.tokens.map(({ id }) => id)).toEqual(
      await tellUnsplit(bench, { opening, ...rules, maxOutputTokens: 10 }),
    );
    await Promise.all([restored.dispose(), again.dispose(), finished.dispose()]);
    await expect(finished.save()).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('is restored with the same rules or not at all', async () => {
    const never = { name: 'never sure', isConfident: () => false };
    const session = await bench.model.createSession({ mode: 'collaborative', policy: never, cloud: cloud() });
    await session.generate(opening, { maxOutputTokens: 4 });
    const bytes = await session.save();
    await session.dispose();
    const code = (promise: Promise<unknown>) =>
      promise.then(
        () => 'fine',
        (error) => isTandemError(error) && error.code,
      );
    expect(await code(bench.model.restoreSession(bytes, { cloud: cloud() }))).toBe('INVALID_OPTION');
    expect(await code(bench.model.restoreSession(bytes, { policy: never }))).toBe('INVALID_OPTION');
    expect(await code(bench.model.restoreSession(bytes.slice(1), { cloud: cloud(), policy: never }))).toBe(
      'SAVE_CORRUPT',
    );
    const mode = 'exact' as const;
    expect(await code(bench.model.restoreSession(bytes, { cloud: cloud(), policy: never, mode } as never))).toBe(
      'INVALID_OPTION',
    );
    const f32 = await EdgeModel.load(bench.bundle, { format: 'f32', threads: 1 });
    expect(await code(f32.restoreSession(bytes, { cloud: cloud(), policy: never }))).toBe('MODEL_MISMATCH');
    await f32.dispose();
    const restored = await bench.model.restoreSession(bytes, { cloud: cloud(), policy: never });
    await restored.dispose();
  });

  it('tells what it costs to take the server in again after a stretch alone', async () => {
    let link: ReturnType<typeof simulateLink> | undefined;
    const session = await bench.model.createSession({
      cloud: {
        ...cloud(),
        unavailableAfterMs: 50,
        wrapTransport: (connect) => {
          link = simulateLink(connect, { rttMs: 10 });
          return link.connect;
        },
      },
    });
    const costs: SessionEvent[] = [];
    session.events$.subscribe((event) => {
      if (event.kind === 'catch-up') costs.push(event);
    });
    await session.generate(opening, { ...rules, maxOutputTokens: 4 });
    link!.setProfile({ offline: true });
    link!.cut();
    let alone = 0;
    const generation = session.generate(opening, { ...rules, maxOutputTokens: 200 });
    for await (const { tokens } of generation) {
      alone += tokens.filter(({ origin }) => origin.kind === 'exit' && origin.degraded).length;
      if (alone >= 20) break;
    }
    await expect(generation).rejects.toMatchObject({ code: 'ABORTED' });
    link!.setProfile({ rttMs: 10 });
    await firstValueFrom(session.connection$.pipe(skipWhile(({ state }) => state !== 'open')));
    const again = session.continue();
    for await (const { tokens } of again) if (tokens.some(({ origin }) => origin.kind === 'cloud')) break;
    expect(costs.map((event) => event.kind === 'catch-up' && event.state)).toEqual(['began', 'done']);
    const [began, done] = costs as Extract<SessionEvent, { kind: 'catch-up' }>[];
    expect(began!.rows).toBeGreaterThanOrEqual(20);
    expect(began!.bytes).toBeGreaterThanOrEqual(20 * 2 * bench.model.manifest.width);
    expect(done!.bytes).toBeGreaterThanOrEqual(began!.bytes);
    expect(done!.state === 'done' && done!.elapsedMs).toBeGreaterThanOrEqual(10);
    expect(began!.predictedMs).toBeGreaterThan(9);
    await session.dispose();
  });

  describe('cancel', () => {
    const long = OPENINGS.slice(0, 30).join(' ');

    it.each([
      ['exact', [1, 2, 3, 5, 9, 17]],
      ['device-only', [1, 2, 4, 8, 16]],
    ] as const)('%s: the device begins no step behind it, whenever it comes', async (mode, moments) => {
      const device = await openDeviceModel(bench.bundle, {
        device: 'auto',
        storage: 'auto',
        format: 'q8',
        threads: 1,
      });
      const tokenizer = loadTokenizer(device.tokenizerFiles['tokenizer.json']!, device.manifest.bosTokenId);
      const sessionId = newId();
      let steps: StepRequest[] = [];
      let stop = new AbortController();
      let abortAt = 0;
      const engine = {
        ...device.engine,
        step: (request: StepRequest) => {
          steps.push(request);
          if (steps.length === abortAt) stop.abort();
          return device.engine.step(request);
        },
      };
      const capacity = device.manifest.contextLength;
      await engine.open({
        session: sessionId,
        firstStage: 0,
        endStage: engine.info.deviceStages,
        capacity,
        codec: 'f16',
      });
      const session = new SessionClass(
        {
          manifest: device.manifest,
          engine,
          tokenizer,
          sessionId,
          acceptance: new Acceptance(),
          clock: systemClock,
          random: systemRandom,
          onDisposed: () => {},
        },
        parseOptions(sessionOptionsSchema, 'createSession', {
          mode,
          ...(mode === 'exact' ? { cloud: cloud(), onCloudUnavailable: 'wait' } : {}),
        }),
      );
      for (const [index, moment] of moments.entries()) {
        steps = [];
        stop = new AbortController();
        abortAt = moment;
        // Another beginning each time: nothing of the prompt is there.
        const generation = session.generate(`${OPENINGS[60 + index]} ${long}`, { ...rules, signal: stop.signal });
        await expect(generation).rejects.toMatchObject({ code: 'ABORTED' });
        expect(steps.length, `aborted in step ${moment}`).toBe(moment);
        expect(
          Math.max(...steps.map(({ input }) => (input?.kind === 'tokens' ? input.tokens.length : 0))),
        ).toBeLessThanOrEqual(64);
      }
      abortAt = 0;
      const { tokens } = await session.generate(opening, rules);
      const whole =
        mode === 'exact'
          ? await tellUnsplit(bench, { opening, ...rules })
          : (await tell(bench, { opening, ...rules }, undefined, { mode, cloud: undefined })).tokens.map(
              ({ id }) => id,
            );
      expect(tokens.map(({ id }) => id)).toEqual(whole);
      await session.dispose();
      await engine.dispose();
    });
  });
});
