import { parseTrace, simulateLink, VirtualClock } from '@tandem/netsim';
import { createMemoryPipe } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

describe('trace files', () => {
  test('seconds and Mbit/s', () => {
    expect(parseTrace('5.0 8\n6.5\t0.8\n')).toEqual([
      { atMs: 0, downBytesPerS: 1_000_000, upBytesPerS: 1_000_000 },
      { atMs: 1_500, downBytesPerS: 100_000, upBytesPerS: 100_000 },
    ]);
  });

  test('seconds, round trip, down, up; by place or by name', () => {
    const steps = [{ atMs: 0, rttMs: 26, downBytesPerS: 1_000_000, upBytesPerS: 250_000 }];
    expect(parseTrace('0.00,26,8,2')).toEqual(steps);
    expect(parseTrace('t_s,rtt_ms,drop_rate,down_bps,up_bps\n0.00,26,0,8000000,2000000')).toEqual(steps);
  });

  test('Mahimahi: packets of 1,500 bytes, counted over 100 ms', () => {
    const steps = parseTrace('0\n10\n10\n250\n');
    expect(steps.map(({ atMs, upBytesPerS }) => [atMs, upBytesPerS])).toEqual([
      [0, 45_000],
      [100, 0],
      [200, 15_000],
    ]);
  });

  test.each([
    ['', /no lines/],
    ['1 2 3', /3 columns/],
    ['0 1\n1 x', /line 2: "1 x" is not 2 numbers/],
    ['0 1\n0 2', /time does not go on/],
    ['a,b\n1,2', /no column t_s/],
  ])('refuses %j', (text, message) => {
    expect(() => parseTrace(text)).toThrow(message);
  });
});

/** When each of `frames` of 1,000 bytes, sent at once, arrives. */
async function arrivals(trace: ReturnType<typeof parseTrace>, frames: number): Promise<number[]> {
  const clock = new VirtualClock({ settle: 'promises' });
  const pipe = createMemoryPipe(clock);
  const times: number[] = [];
  pipe.accept(() => ({ opened() {}, received: () => times.push(clock.now()), closed() {} }));
  const link = simulateLink(pipe.connect, { trace }, { clock, handshakeRoundTrips: 0 });
  const transport = link.connect({
    opened: () => {
      for (let frame = 0; frame < frames; frame++) transport.send(new Uint8Array(1_000));
    },
    received() {},
    closed() {},
  });
  await clock.runUntilIdle();
  return times;
}

describe('a link with a trace', () => {
  test('takes as long as its rates say, over the border of a step, and begins anew at the end', async () => {
    const trace = [
      { atMs: 0, upBytesPerS: 10_000 },
      { atMs: 150, upBytesPerS: 0 },
      { atMs: 300, upBytesPerS: 20_000 },
    ];
    // 1,000 bytes take 100 ms at first; the second frame is half gone when nothing moves for 150 ms; the fifth
    // is half gone at 450 ms, when the trace begins anew.
    expect(await arrivals(trace, 5)).toEqual([100, 325, 375, 425, 500].map((ms) => expect.closeTo(ms, 3)));
  });

  test('has the round trip of its moment', async () => {
    const trace = [
      { atMs: 0, rttMs: 100, upBytesPerS: 10_000 },
      { atMs: 150, rttMs: 20 },
    ];
    expect(await arrivals(trace, 2)).toEqual([150, 160].map((ms) => expect.closeTo(ms, 3)));
  });

  test('refuses a trace that lets nothing through, or runs backwards', () => {
    const link = (trace: { atMs: number; upBytesPerS?: number }[]) => () =>
      simulateLink(createMemoryPipe().connect, { trace });
    expect(link([{ atMs: 0, upBytesPerS: 0 }])).toThrow(/never lets anything through/);
    expect(link([{ atMs: 0 }, { atMs: 0 }])).toThrow(/times ascend/);
    expect(link([{ atMs: 5 }])).toThrow(/times ascend/);
  });
});
