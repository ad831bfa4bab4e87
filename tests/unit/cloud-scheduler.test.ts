import { Scheduler, type Turn } from '@tandem/cloud';
import type { BatchInfo, EngineSession, StepRequest } from '@tandem/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { HASH_INFO, MortalEngine } from '../support/hash-engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { payload } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

const HERE = { engine: 0, generation: 0 };
const LIVE = new AbortController().signal;

function engineSession(session: string): EngineSession {
  return { session, firstStage: 1, endStage: 2, capacity: 10, codec: 'f32' };
}

function request(session: string, from = 0): StepRequest {
  const input = { kind: 'encoded-rows' as const, bytes: payload(from, from + 1) };
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
  return { session, from, input, depth: 1, want: [], drafts: [], sampling };
}

describe('scheduler', () => {
  let source: MortalEngine;
  let clock: ManualClock;
  let scheduler: Scheduler;

  beforeEach(async () => {
    source = new MortalEngine();
    clock = new ManualClock();
    scheduler = new Scheduler(source, clock);
    for (const id of ['a', 'b', 'c']) await scheduler.open(engineSession(id), LIVE);
  });

  it('runs one step at a time, in the order in which they came', async () => {
    source.engine.hold();
    const steps = ['a', 'b', 'c'].map((id) => scheduler.step(request(id), HERE, LIVE));
    await quiet();
    expect(source.engine.steps.map(({ session }) => session)).toEqual(['a']);
    expect(scheduler.queued).toBe(2);
    source.engine.release();
    await Promise.all(steps);
    expect(source.engine.steps.map(({ session }) => session)).toEqual(['a', 'b', 'c']);
  });

  it('lets a session that comes back wait behind those that were there', async () => {
    source.engine.hold();
    const again = scheduler.step(request('a'), HERE, LIVE).then(() => scheduler.step(request('a', 1), HERE, LIVE));
    const others = ['b', 'c'].map((id) => scheduler.step(request(id), HERE, LIVE));
    await quiet();
    source.engine.release();
    await Promise.all([again, ...others]);
    expect(source.engine.steps.map(({ session }) => session)).toEqual(['a', 'b', 'c', 'a']);
  });

  it('measures the wait', async () => {
    source.engine.hold();
    const first = scheduler.step(request('a'), HERE, LIVE);
    const second = scheduler.step(request('b'), HERE, LIVE);
    await clock.advance(30);
    source.engine.release();
    expect(await first).toMatchObject({ kind: 'done', value: { queueMs: 0 } });
    expect(await second).toMatchObject({ kind: 'done', value: { queueMs: 30 } });
  });

  it('takes a cancelled step out of the queue at once, and never runs it', async () => {
    source.engine.hold();
    const running = scheduler.step(request('a'), HERE, LIVE);
    const cancel = new AbortController();
    const waiting = scheduler.step(request('b'), HERE, cancel.signal);
    await quiet();
    cancel.abort();
    expect(await waiting).toEqual({ kind: 'cancelled' });
    expect(scheduler.queued).toBe(0);
    source.engine.release();
    await running;
    await quiet();
    expect(source.engine.steps).toHaveLength(1);
  });

  it('does not run a step on an engine that has forgotten its session', async () => {
    source.kill();
    const outcome = await scheduler.step(request('a'), HERE, LIVE);
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'ENGINE_FAILED' } });
    expect(source.engine.steps).toEqual([]);
  });

  it('returns failures of the engine and goes on', async () => {
    source.engine.nextError = new Error('native trouble');
    expect(await scheduler.step(request('a'), HERE, LIVE)).toMatchObject({ kind: 'failed' });
    expect(await scheduler.step(request('b'), HERE, LIVE)).toMatchObject({ kind: 'done' });
  });
});

const BATCH: BatchInfo = {
  slots: 3,
  from: { singles: 2, verifies: 3 },
  gain: { singles: 2, verifies: 1.4 },
  why: 'measured',
};
const IDS = ['a', 'b', 'c', 'd', 'e'];

describe('scheduler of an engine that runs several sessions at once', () => {
  let source: MortalEngine;
  let scheduler: Scheduler;
  let observed: number[];

  beforeEach(async () => {
    source = new MortalEngine();
    source.info = { ...HASH_INFO, batch: BATCH };
    observed = [];
    const observe = (name: string, value: number) => void (name === 'tandem_step_sessions' && observed.push(value));
    scheduler = new Scheduler(source, new ManualClock(), { count() {}, observe });
    for (const id of IDS) await scheduler.open(engineSession(id), LIVE);
  });

  /** All of them wait while the first one runs. */
  async function queue(turns: Record<string, Partial<Turn>>, signals: Record<string, AbortSignal> = {}) {
    source.engine.hold();
    const first = scheduler.step(request('a'), HERE, LIVE, { tenant: '', kind: 'interactive', rows: 1 });
    await quiet();
    const steps = Object.entries(turns).map(([id, turn]) =>
      scheduler.step(request(id), HERE, signals[id] ?? LIVE, { tenant: '', kind: 'interactive', rows: 1, ...turn }),
    );
    await quiet();
    return { first, steps };
  }

  it('runs those that wait as one, as far as there are slots', async () => {
    const { first, steps } = await queue({ b: {}, c: {}, d: {}, e: {} });
    expect(source.engine.runs).toEqual([]);
    source.engine.release();
    const outcomes = await Promise.all([first, ...steps]);
    expect(outcomes.every(({ kind }) => kind === 'done')).toBe(true);
    expect(source.engine.runs).toEqual([['b', 'c', 'd']]);
    expect(observed).toEqual([1, 3, 1]);
  });

  it('runs them one by one where they are too few for what they bring, in their order', async () => {
    const { first, steps } = await queue({ b: { rows: 7 }, c: { rows: 1 } });
    source.engine.release();
    await Promise.all([first, ...steps]);
    expect(source.engine.runs).toEqual([]);
    expect(source.engine.steps.map(({ session }) => session)).toEqual(['a', 'b', 'c']);
  });

  it('takes no more rows into a run than a window has', async () => {
    const { first, steps } = await queue({ b: { rows: 30 }, c: { rows: 30 }, d: { rows: 4 }, e: { rows: 5 } });
    source.engine.release();
    await Promise.all([first, ...steps]);
    expect(source.engine.runs).toEqual([['b', 'c', 'd']]);
    expect(source.engine.steps.at(-1)?.session).toBe('e');
  });

  it('one that does not fit keeps its turn: nobody overtakes it', async () => {
    const { first, steps } = await queue({ b: {}, c: { rows: 64 }, d: {}, e: {} });
    source.engine.release();
    await Promise.all([first, ...steps]);
    expect(source.engine.steps.map(({ session }) => session)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(source.engine.runs).toEqual([['d', 'e']]);
  });

  it('opening a session, and closing one, is never part of a run', async () => {
    const { first, steps } = await queue({ b: {}, c: {} });
    const opened = scheduler.open(engineSession('f'), LIVE);
    const closed = scheduler.close('d', HERE);
    const last = scheduler.step(request('e'), HERE, LIVE);
    source.engine.release();
    await Promise.all([first, ...steps, opened, closed, last]);
    expect(source.engine.runs).toEqual([['b', 'c']]);
    expect(source.engine.sessions.has('d')).toBe(false);
  });

  it('leaves out who was cancelled meanwhile', async () => {
    const cancel = new AbortController();
    const { first, steps } = await queue({ b: {}, c: {}, d: {} }, { c: cancel.signal });
    cancel.abort();
    source.engine.release();
    await first;
    expect((await Promise.all(steps)).map(({ kind }) => kind)).toEqual(['done', 'cancelled', 'done']);
    expect(source.engine.runs).toEqual([['b', 'd']]);
  });

  it('tells each what became of its own step', async () => {
    const { first, steps } = await queue({ b: {}, c: {} });
    source.engine.sessions.delete('c');
    source.engine.release();
    await first;
    const [b, c] = await Promise.all(steps);
    expect(b).toMatchObject({ kind: 'done' });
    expect(c).toMatchObject({ kind: 'failed', error: { code: 'ENGINE_FAILED' } });
  });

  it('an engine that dies in a run fails all of its steps, and those that it forgot are not run on the next', async () => {
    const { first, steps } = await queue({ b: {}, c: {}, d: {}, e: {} });
    const waits = [first, ...steps];
    source.kill();
    for (const outcome of await Promise.all(waits)) expect(outcome).toMatchObject({ kind: 'failed' });
    expect(source.engine.steps).toEqual([]);
  });
});
