import { EnginePool, type Placement, Scheduler } from '@tandem/cloud';
import { beforeEach, describe, expect, it } from 'vitest';
import { MortalEngine } from '../support/hash-engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { quiet } from '../support/wire-client.js';

const LIVE = new AbortController().signal;

describe('engine pool', () => {
  let sources: MortalEngine[];
  let pool: EnginePool;

  beforeEach(() => {
    const clock = new ManualClock();
    sources = [new MortalEngine(), new MortalEngine(), new MortalEngine()];
    pool = new EnginePool(sources.map((source, index) => new Scheduler(source, clock, undefined, index)));
  });

  async function open(session: string): Promise<Placement> {
    const opened = await pool.open({ session, firstStage: 1, endStage: 2, capacity: 10, codec: 'f32' }, LIVE);
    if (opened.kind !== 'done') throw new Error(opened.kind);
    return opened.value;
  }

  it('spreads sessions, also those that open at the same time', async () => {
    const placements = await Promise.all(Array.from({ length: 9 }, (_, index) => open(`s${index}`)));
    expect(sources.map(({ engine }) => engine.sessions.size)).toEqual([3, 3, 3]);
    expect(placements.every((placement) => pool.holds(placement))).toBe(true);
  });

  it('fills the place of a session that was closed', async () => {
    const placements = await Promise.all(Array.from({ length: 6 }, (_, index) => open(`s${index}`)));
    const target = placements[4]!;
    await pool.close('s4', target);
    expect((await open('next')).engine).toBe(target.engine);
  });

  it('opens nothing in an engine between two lives, and tells its sessions that they are gone', async () => {
    const placements = await Promise.all(Array.from({ length: 3 }, (_, index) => open(`s${index}`)));
    const lost = placements[0]!;
    sources[lost.engine]!.kill();
    sources[lost.engine]!.isRunning = false;
    expect(placements.map((placement) => pool.holds(placement))).toEqual(placements.map((p) => p !== lost));
    for (let i = 0; i < 4; i++) expect((await open(`again${i}`)).engine).not.toBe(lost.engine);
    expect(pool.engines).toEqual({ available: 3, unavailable: 0 });
    sources[lost.engine]!.isRunning = true;
    expect((await open('back')).engine).toBe(lost.engine);
  });

  it('does not wait for one engine where another is free', async () => {
    const [first, second] = [await open('a'), await open('b')];
    sources[first.engine]!.engine.hold();
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
    const input = { kind: 'encoded-rows' as const, bytes: new Uint8Array(4) };
    const request = { from: 0, input, depth: 1, want: [], drafts: [], sampling };
    void pool.step({ session: 'a', ...request }, first, LIVE);
    void pool.step({ session: 'a', ...request }, first, LIVE);
    await quiet();
    expect(pool.queued).toBe(1);
    expect(await pool.step({ session: 'b', ...request }, second, LIVE)).toMatchObject({ kind: 'done' });
  });
});
