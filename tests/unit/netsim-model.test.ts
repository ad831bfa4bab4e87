import { checkLinkProfile, LinkModel, type LinkProfile, presets, VirtualClock } from '@tandem/netsim';
import { isTandemError } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const model = (profile: LinkProfile, seed = 1) => new LinkModel(checkLinkProfile(profile), seed, 0);
const arrivals = (link: LinkModel, frames = 50) =>
  Array.from({ length: frames }, (_, position) => link.plan('up', 10, position).arriveMs);

describe('link model', () => {
  it('is a queue per direction: bytes over rate, then half the round trip', () => {
    const link = model({ rttMs: 100, upBytesPerS: 1000, downBytesPerS: 10_000 });
    expect(link.plan('up', 200, 0)).toEqual({ departMs: 200, arriveMs: 250 });
    expect(link.plan('up', 100, 50)).toEqual({ departMs: 300, arriveMs: 350 });
    expect(link.plan('down', 100, 50)).toEqual({ departMs: 60, arriveMs: 110 });
  });

  it('never reorders under jitter, and draws the same for the same seed only', () => {
    const profile = { rttMs: 20, jitterMs: 50 };
    const times = arrivals(model(profile, 7));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(arrivals(model(profile, 7))).toEqual(times);
    expect(arrivals(model(profile, 8))).not.toEqual(times);
  });

  it('keeps the chance of one direction apart from the traffic of the other', () => {
    const busy = model({ jitterMs: 50 }, 7);
    for (let frame = 0; frame < 20; frame++) busy.plan('down', 10, 0);
    expect(arrivals(busy)).toEqual(arrivals(model({ jitterMs: 50 }, 7)));
  });

  it('holds departures and arrivals during a stall', () => {
    const link = model({ rttMs: 100, upBytesPerS: 1000, stalls: [{ afterMs: 100, durationMs: 1000 }] });
    expect(link.plan('up', 200, 0)).toEqual({ departMs: 1200, arriveMs: 1250 });
    expect(link.plan('down', 1, 60)).toEqual({ departMs: 60, arriveMs: 1100 });
  });

  it('refuses what it does not know, and takes every preset', () => {
    for (const bad of [{ rttMS: 3 }, { rttMs: -1 }, { cuts: [{ afterBytes: 3 }] }]) {
      expect(() => checkLinkProfile(bad as LinkProfile)).toThrow(/INVALID_OPTION: link profile/);
    }
    for (const profile of Object.values(presets)) expect(checkLinkProfile(profile!)).toMatchObject(profile!);
    try {
      checkLinkProfile({ jitterMs: Number.NaN });
    } catch (error) {
      expect(isTandemError(error) && error.code).toBe('INVALID_OPTION');
    }
  });
});

describe('virtual clock', () => {
  it('fires by time, then by order of scheduling, and lets promises run in between', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    clock.schedule(20, () => fired.push('c'));
    clock.schedule(10, () => void Promise.resolve().then(() => fired.push('a')));
    clock.schedule(10, () => fired.push('b'));
    clock.schedule(15, () => fired.push('never'))();
    await clock.advance(10);
    expect([...fired, clock.now(), clock.pending]).toEqual(['a', 'b', 10, 1]);
    await clock.runUntilIdle();
    expect([...fired, clock.now(), clock.pending]).toEqual(['a', 'b', 'c', 20, 0]);
  });

  it('stands still while work outside the simulation goes on', async () => {
    const clock = new VirtualClock();
    const atMs: number[] = [];
    const outside = async () => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      atMs.push(clock.now());
      clock.schedule(1, () => atMs.push(clock.now()));
      throw new Error('it may fail, too');
    };
    clock.schedule(10, () => void clock.during(outside()).catch(() => {}));
    clock.schedule(50, () => atMs.push(clock.now()));
    await clock.runUntilIdle();
    expect(atMs).toEqual([10, 11, 50]);
  });

  it('sorts many timers, stops an endless loop and aborts a sleep', async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    for (let timer = 0; timer < 200; timer++) {
      const atMs = (timer * 73) % 101;
      clock.schedule(atMs, () => fired.push(atMs));
    }
    await clock.runUntilIdle();
    expect(fired).toEqual([...fired].sort((a, b) => a - b));
    const abort = new AbortController();
    const sleep = clock.sleep(5, abort.signal);
    abort.abort(new Error('enough'));
    await expect(sleep).rejects.toThrow('enough');
    const loop = () => void clock.schedule(1, loop);
    loop();
    await expect(clock.runUntilIdle(100)).rejects.toThrow('not idle');
  });
});
