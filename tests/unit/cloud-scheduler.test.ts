import { Scheduler } from '@tandem/cloud';
import type { EngineSession, StepRequest } from '@tandem/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { MortalEngine } from '../support/hash-engine.js';
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
