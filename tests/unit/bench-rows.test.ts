import {
  BusyLog,
  barsOf,
  breakEvenOf,
  type DecodeRow,
  idleMs,
  parseDecodeFlags,
  percentile,
  rowOf,
  type Telling,
  withRatios,
} from '@tandem/bench/testing';
import { isTandemError, PROFILES, stepMs } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const TELLING: Telling = {
  tokens: [5, 6, 7, 8],
  origins: ['exit1', 'cloud', 'exit2', 'cloud'],
  settledMs: [100, 100, 150, 400],
  bytesUp: 400,
  bytesDown: 40,
  roundTrips: 2,
  waitedRoundTrips: 1,
  exposedMs: 80,
  deviceMs: 60,
  cloudMs: 20,
};

describe('stage times', () => {
  it('charge the first row in full and every further one its share', () => {
    expect([0, 1, 2, 5].map((rows) => stepMs(20, rows, 0.05))).toEqual([0, 20, 21, 24]);
  });

  it('hold the figures that the profile is named after, and are of whole models', () => {
    const { deviceStageMs, cloudStageMs, cloudTailMs, furtherRowShare } = PROFILES['ce-collm-7b']!;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    expect(deviceStageMs).toEqual([10, 9]);
    expect(cloudTailMs).toBe(23);
    expect(sum(cloudStageMs) + cloudTailMs).toBe(37);
    expect(furtherRowShare).toEqual({ device: 0.05, cloud: 0.05 });
    for (const profile of Object.values(PROFILES)) {
      expect(profile.cloudStageMs.length, profile.name).toBe(profile.deviceStageMs.length);
      expect(profile.sources.length, profile.name).toBeGreaterThan(3);
    }
  });
});

describe('rows', () => {
  const head = { clock: 'virtual', profile: 'ce-collm-7b', mode: 'exact', rttMs: 20, agreed: 7 } as const;

  it('add up what every story took', () => {
    const slow = { ...TELLING, settledMs: [300, 700, 1_100, 1_600], waitedRoundTrips: 3 };
    expect(rowOf(head, [TELLING, slow])).toEqual({
      clock: 'virtual',
      profile: 'ce-collm-7b',
      mode: 'exact',
      rttMs: 20,
      tokensPerS: 4,
      ttftMs: 200,
      p95Ms: 500,
      exposedRttMsPerToken: 20,
      roundTripsPerToken: 0.5,
      waitedRoundTripsPerToken: 0.5,
      bytesUpPerToken: 100,
      bytesDownPerToken: 10,
      cloudMsPerToken: 5,
      deviceMsPerToken: 15,
      origins: { cloud: 0.5, exit1: 0.25, exit2: 0.25 },
      policy: null,
      agreement: 0.875,
      ratioToCloudOnly: Number.NaN,
      tokens: 8,
    });
    expect(rowOf(head, [TELLING, { ...TELLING, waitedRoundTrips: undefined }]).waitedRoundTripsPerToken).toBeNull();
  });

  it('stand beside the cloud-only row of the same link, profile and clock', () => {
    const row = rowOf(head, [TELLING]);
    const cloudOnly = { ...row, mode: 'cloud-only', tokensPerS: 20 } as const;
    const others = [
      { ...cloudOnly, rttMs: 50, tokensPerS: 1 },
      { ...cloudOnly, clock: 'real' as const, tokensPerS: 1 },
      { ...cloudOnly, profile: 'phone-1b', tokensPerS: 1 },
    ];
    expect(withRatios([row, ...others, cloudOnly])[0]?.ratioToCloudOnly).toBe(0.5);
  });

  it('know the nearest rank and the time that nobody worked', () => {
    expect([0.05, 0.5, 0.95, 1].map((share) => percentile([4, 2, 8, 6], share))).toEqual([2, 4, 8, 8]);
    expect(percentile([], 0.95)).toBe(0);
    const device = new BusyLog();
    const cloud = new BusyLog();
    device.add(10, 20);
    device.add(40, 50);
    cloud.add(15, 30);
    cloud.add(45, 90);
    expect(idleMs([device, cloud], 0, 100)).toBe(10 + 10 + 10);
    expect(idleMs([device, cloud], 12, 48)).toBe(10);
    expect(idleMs([], 5, 15)).toBe(10);
    expect(device.totalMs).toBe(20);
  });
});

describe('conclusions', () => {
  const base = {
    ...rowOf({ clock: 'virtual', profile: 'ce-collm-7b', mode: 'exact', rttMs: 0, agreed: 4 }, [TELLING]),
  };
  const links = (mode: DecodeRow['mode'], ratios: Record<number, number>, rest: Partial<DecodeRow> = {}) =>
    Object.entries(ratios).map(([rttMs, ratioToCloudOnly]) => {
      const tokensPerS = 25 * ratioToCloudOnly;
      return { ...base, ...rest, mode, rttMs: Number(rttMs), ratioToCloudOnly, tokensPerS };
    });

  it('break even where the ratio crosses one, between the links that were tried', () => {
    expect(breakEvenOf(links('exact', { 80: 0.9, 50: 1.2, 0: 1.5 }))).toEqual({ rttMs: 70, atLeast: false });
    expect(breakEvenOf(links('exact', { 0: 0.9, 50: 1.2 }))).toEqual({ rttMs: 0, atLeast: false });
    expect(breakEvenOf(links('exact', { 0: 1.1, 150: 1 }))).toEqual({ rttMs: 150, atLeast: true });
  });

  it('measure the bars by the worst link, and leave out what was not run', () => {
    const rows = [
      ...links('exact', { 0: 1.5, 50: 1.2, 80: 0.9 }, { cloudMsPerToken: 8, waitedRoundTripsPerToken: 0.2 }),
      ...links('cloud-only', { 0: 1, 50: 1, 80: 1 }, { cloudMsPerToken: 40 }),
      ...links('ce-collm', { 80: 0.5 }),
    ];
    rows[1]!.cloudMsPerToken = 12;
    rows[2]!.agreement = 0.5;
    const bars = barsOf(rows);
    const figureOf = (words: string) => bars.find(({ bar }) => bar.includes(words));
    expect(figureOf('agreement')).toMatchObject({ figure: 0.5, isMet: false });
    expect(figureOf('engine time')).toMatchObject({ figure: 0.3, isMet: false });
    expect(figureOf('waited')).toMatchObject({ figure: 0.2, isMet: true });
    expect(figureOf('≥ 60')).toMatchObject({ figure: 70, isMet: true });
    expect(figureOf('≥ 80')).toMatchObject({ figure: 70, isMet: false });
    expect(figureOf('CE-CoLLM')).toMatchObject({ figure: 1.8, isMet: false });
    expect(bars.filter(({ bar }) => /collaborative|real/.test(bar))).toEqual([]);
  });

  it('weigh real processor time over all links together', () => {
    const real = { clock: 'real', profile: 'this-machine' } as const;
    const rows = [
      ...links('exact', { 0: 1 }, { ...real, cloudMsPerToken: 1, tokens: 300 }),
      ...links('exact', { 50: 1 }, { ...real, cloudMsPerToken: 2, tokens: 100 }),
      ...links('cloud-only', { 0: 1 }, { ...real, cloudMsPerToken: 5 }),
    ];
    expect(barsOf(rows)).toMatchObject([{ figure: 0.25, isMet: true }]);
  });
});

describe('flags', () => {
  it('fill in everything, always with cloud-only', () => {
    expect(parseDecodeFlags({})).toMatchObject({ prompts: 100, tokens: 100, clocks: ['virtual', 'real'], seed: 7 });
    expect(parseDecodeFlags({ modes: 'ce-collm,exact' }).modes).toEqual(['exact', 'cloud-only', 'ce-collm']);
  });

  it('hand session options of experiments to the modes they name', () => {
    const { overrides } = parseDecodeFlags({ set: ['draftLength=4', 'exact.codec=int8', 'exact.threshold=[0.5,0.6]'] });
    expect(overrides).toEqual({
      exact: { draftLength: 4, codec: 'int8', threshold: [0.5, 0.6] },
      collaborative: { draftLength: 4 },
    });
  });

  it.each([
    [{ clock: 'wall' }, 'virtual, real, both'],
    [{ profile: 'ce-collm-70b' }, 'laptop-8b'],
    [{ modes: 'exakt' }, 'split-f16'],
    [{ rtt: '10,fast' }, 'a number'],
    [{ prompts: '0' }, 'from 1 on'],
    [{ set: ['draftLength'] }, 'exact.draftLength=8'],
    [{ set: ['exakt.draftLength=8'] }, 'collaborative'],
  ])('refuse %j and name what is allowed', (flags, words) => {
    try {
      parseDecodeFlags(flags);
    } catch (error) {
      expect(isTandemError(error) && error.code).toBe('INVALID_OPTION');
      expect(String(error)).toContain(words);
      return;
    }
    expect.unreachable('nothing was thrown');
  });
});
