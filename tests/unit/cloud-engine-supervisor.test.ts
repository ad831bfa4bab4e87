import type { EngineProcess } from '@tandem/cloud';
import { Scheduler } from '@tandem/cloud';
import { EngineSupervisor, Readiness } from '@tandem/cloud/testing';
import { type EnginePort, limits, serveEngine, TandemError } from '@tandem/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { HASH_INFO, HashEngine } from '../support/hash-engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { SILENT } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

/** An engine "process" in this one. */
class FakeProcess implements EngineProcess {
  readonly engine = new HashEngine();
  readonly port: EnginePort;
  isReleased = false;
  isKilled = false;
  readonly pid: number;
  #exit: (how: string) => void = () => {};

  constructor(pid: number, failure?: Error) {
    this.pid = pid;
    const [near, far] = pipe();
    this.port = near;
    void serveEngine(far, async () => {
      if (failure) throw failure;
      return this.engine;
    });
  }

  onExit(listener: (how: string) => void): void {
    this.#exit = listener;
  }
  release(): void {
    this.isReleased = true;
    this.#exit('exited with code 0');
  }
  kill(): void {
    this.isKilled = true;
    this.#exit('was ended by SIGKILL');
  }
}

function pipe(): [EnginePort, EnginePort] {
  const listeners: ((message: unknown) => void)[][] = [[], []];
  const end = (own: number): EnginePort => ({
    post: (message) => {
      for (const listener of listeners[1 - own]!) queueMicrotask(() => listener(message));
    },
    listen: (listener) => void listeners[own]!.push(listener),
  });
  return [end(0), end(1)];
}

describe('engine supervisor', () => {
  let clock: ManualClock;
  let processes: FakeProcess[];
  let failures: Error[];
  let supervisor: EngineSupervisor;

  beforeEach(() => {
    clock = new ManualClock();
    processes = [];
    failures = [];
    const launch = () => {
      const started = new FakeProcess(processes.length + 1, failures.shift());
      processes.push(started);
      return started;
    };
    supervisor = new EngineSupervisor({ launch, clock, log: SILENT });
  });

  it('tells why the first start failed, and does not try again', async () => {
    failures.push(new TandemError('BUNDLE_CORRUPT', 'model.onnx has 3 bytes'));
    await expect(supervisor.start()).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
    await clock.advance(60_000);
    expect(processes).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it('rejects what was under way when the process dies, and has a new one at once', async () => {
    await supervisor.start();
    expect(supervisor.info).toEqual(HASH_INFO);
    const engine = await supervisor.current();
    await engine.open({ session: 'a', firstStage: 1, endStage: 2, capacity: 9, codec: 'f32' });
    processes[0]?.engine.hold();
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
    const step = engine.step({ session: 'a', from: 0, depth: 1, want: [], drafts: [], sampling });
    processes[0]?.kill();
    await expect(step).rejects.toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringMatching(/SIGKILL/) });
    expect(supervisor.generation).toBe(1);
    await supervisor.current();
    expect(supervisor.processId).toBe(2);
    expect(supervisor.isAvailable).toBe(true);
  });

  it('waits longer and longer for an engine that keeps dying, and forgets that once one is sound', async () => {
    await supervisor.start();
    const waits: number[] = [];
    for (let death = 0; death < 9; death++) {
      const started = processes.length;
      processes.at(-1)?.kill();
      const fromMs = clock.now();
      while (processes.length === started) await clock.advance(10);
      waits.push(clock.now() - fromMs);
      await quiet();
    }
    expect(waits).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map((ms) => Math.max(ms, 0)));
    await clock.advance(limits.ENGINE_STABLE_MS);
    processes.at(-1)?.kill();
    await quiet();
    expect(processes).toHaveLength(11);
  });

  it('is unavailable from a restart that fails to one that succeeds', async () => {
    await supervisor.start();
    failures.push(new TandemError('BUNDLE_NOT_FOUND', 'the folder is gone'));
    processes[0]?.kill();
    const next = supervisor.current();
    await expect(next).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
    expect(supervisor.isAvailable).toBe(false);
    await clock.advance(limits.ENGINE_RESTART_DELAY_MS_MIN);
    await quiet();
    expect(supervisor.isAvailable).toBe(true);
  });

  it('stops for good: releases, kills what does not go, and leaves no timer', async () => {
    await supervisor.start();
    const last = processes[0]!;
    last.release = () => {
      last.isReleased = true;
    };
    const stopped = supervisor.stop();
    await clock.advance(limits.STOP_GRACE_MS);
    await stopped;
    expect([last.isReleased, last.isKilled, processes.length, clock.pending]).toEqual([true, true, 1, 0]);
  });
});

describe('readiness', () => {
  it('runs a real step, shares it among those who ask, and repeats it after a while', async () => {
    const clock = new ManualClock();
    const fake = new FakeProcess(1);
    const supervisor = new EngineSupervisor({ launch: () => fake, clock, log: SILENT });
    await supervisor.start();
    const readiness = new Readiness(new Scheduler(supervisor, clock), clock);
    const states = await Promise.all([readiness.check(), readiness.check()]);
    expect(states).toEqual([
      { isReady: true, stepMs: 0 },
      { isReady: true, stepMs: 0 },
    ]);
    expect(fake.engine.steps).toHaveLength(1);
    await quiet();
    expect(fake.engine.sessions.size).toBe(0);
    await clock.advance(limits.READY_CACHE_MS + 1);
    fake.engine.nextError = new Error('native trouble');
    expect(await readiness.check()).toEqual({ isReady: false, reason: expect.stringMatching(/native trouble/) });
  });

  it('gives up on a step that does not come', async () => {
    const clock = new ManualClock();
    const fake = new FakeProcess(1);
    const supervisor = new EngineSupervisor({ launch: () => fake, clock, log: SILENT });
    await supervisor.start();
    fake.engine.hold();
    const state = new Readiness(new Scheduler(supervisor, clock), clock).check();
    await quiet();
    await clock.advance(limits.READY_TIMEOUT_MS);
    expect(await state).toEqual({ isReady: false, reason: expect.stringMatching(/5000 ms/) });
  });
});
