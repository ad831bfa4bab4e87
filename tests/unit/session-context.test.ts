import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { forward, SessionBench, STORY, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

/** Long forwards, lost KV and the budget, on an engine whose choices show every wrong, missing or doubled row. */
describe('session context', () => {
  it('runs a long forward in pieces, in windows, with one verdict', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open({ capacity: 300 });
    forward(client, 1, 0, 10);
    await quiet();
    const want = [20, 63, 64, 199];
    forward(client, 1, 10, 200, { want, drafts: want.slice(0, 3).map(truth) });
    await quiet();
    expect(bench.engine.steps.map(({ from, want }) => [from, want])).toEqual([
      [0, []],
      [10, [20, 63]],
      [64, [64]],
      [128, []],
      [192, [199]],
    ]);
    expect(client.all('verdict')).toHaveLength(1);
    expect(client.last('verdict')).toMatchObject({ rows: want, tokens: want.map(truth), mismatch: false, length: 200 });
  });

  it('judges many drafts a few at a time: what follows a wrong one does not run', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open({ capacity: 300 });
    const want = Array.from({ length: 20 }, (_, index) => 10 + index);
    const right = want.slice(0, -1).map(truth);
    forward(client, 1, 0, 30, { want, drafts: right });
    await quiet();
    const steps = () => bench.engine.steps.map(({ from, want: asked }) => [from, asked.length]);
    expect(steps()).toEqual([
      [0, 8],
      [18, 8],
      [26, 4],
    ]);
    expect(client.last('verdict')).toMatchObject({ rows: want, tokens: want.map(truth), mismatch: false, length: 30 });
    forward(client, 2, 9, 30, { want, drafts: right.with(3, (right[3]! + 1) % 50) });
    await quiet();
    expect(steps().slice(3)).toEqual([[9, 8]]);
    expect(client.last('verdict')).toMatchObject({ rows: [10, 11, 12, 13], mismatch: true, length: 14 });
    // One or two left over are no step of their own.
    forward(client, 3, 9, 20, { want: want.slice(0, 10), drafts: right.slice(0, 9) });
    await quiet();
    expect(steps().slice(4)).toEqual([[9, 10]]);
  });

  it('stops a long forward at its first mismatch', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open({ capacity: 300 });
    const wrong = (truth(70) + 1) % 50;
    forward(client, 1, 0, 200, { want: [70, 150], drafts: [wrong, truth(150)] });
    await quiet();
    expect(client.last('verdict')).toMatchObject({ rows: [70], tokens: [truth(70)], mismatch: true, length: 71 });
    expect(bench.engine.steps).toHaveLength(2);
    forward(client, 2, 71, 100, { want: [99] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(99)]);
  });

  it('goes on behind the pieces that ran when a long forward is cancelled in between', async () => {
    const bench = new SessionBench();
    const first = await bench.open({ capacity: 300 });
    forward(first.client, 1, 0, 80);
    await quiet();
    bench.engine.hold();
    forward(first.client, 1, 60, 200);
    await quiet();
    first.pipe.cut();
    bench.engine.release();
    await quiet();
    const steps = bench.engine.steps.length;
    const second = await bench.open({ capacity: 300, epoch: 1 });
    const length = second.client.last('session-opened')!.length;
    expect(length).toBe(200);
    forward(second.client, 2, length, 204, { want: [203] });
    await quiet();
    expect(second.client.last('verdict')?.tokens).toEqual([truth(203)]);
    expect(bench.engine.steps[steps]?.from).toBe(64);
  });

  it('compacts what nobody uses when the budget is exceeded, and rebuilds it without a word', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 2_000, kvBytesPerPosition: 5 });
    const idle = await bench.open({ capacity: 150 }, 'session-of-tests-1');
    forward(idle.client, 1, 0, 120);
    await quiet();
    expect(bench.cache.bytes.hot).toBe(5 * 192);
    const other = await bench.open({ capacity: 150 }, 'session-of-tests-2');
    forward(other.client, 1, 0, 120, { want: [119] });
    await quiet();
    expect(other.client.last('verdict')?.tokens).toEqual([truth(119)]);
    expect(bench.engine.sessions.size).toBe(1);
    expect(bench.counted).toMatchObject({ 'tandem_context_evictions_total rows': 1 });
    const steps = bench.engine.steps.length;
    forward(idle.client, 1, 120, 122, { want: [121] });
    await quiet();
    expect(idle.client.last('verdict')?.tokens).toEqual([truth(121)]);
    expect(idle.client.all('context-rewind')).toEqual([]);
    expect(bench.engine.steps.slice(steps).map(({ from }) => from)).toEqual([0, 64]);
    expect(bench.counted).toMatchObject({
      tandem_context_rebuilds_total: 1,
      tandem_context_rebuilt_rows_total: 120,
    });
  });

  it('drops rows when no KV is left to give, and asks for them again', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 400 });
    const sessions = await Promise.all([1, 2, 3].map((id) => bench.open({}, `session-of-tests-${id}`)));
    for (const { client, pipe } of sessions) {
      forward(client, 1, 0, 40, { want: [39] });
      await quiet();
      pipe.cut();
      await quiet();
    }
    const { hot, rows } = bench.cache.bytes;
    expect(hot + rows).toBeLessThanOrEqual(400);
    const first = await bench.open({ epoch: 1 }, 'session-of-tests-1');
    expect(first.client.last('session-opened')?.length).toBe(0);
    const last = await bench.open({ epoch: 1 }, 'session-of-tests-3');
    expect(last.client.last('session-opened')?.length).toBe(40);
    expect(bench.counted['tandem_context_evictions_total nothing']).toBeGreaterThan(0);
  });

  it('rows that were lost do not come back as those of a prefix', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 1_000 });
    const opened = { capacity: 200, prefix: ['h'.repeat(22)] };
    const first = await bench.open(opened, 'session-of-tests-1');
    // Another text than the one that it declared: it claims nothing.
    forward(first.client, 7, 0, 100);
    await quiet();
    first.pipe.cut();
    const second = await bench.open(opened, 'session-of-tests-2');
    forward(second.client, 1, 0, 160, { prefix: 1 });
    await quiet();
    expect(bench.counted['tandem_context_evictions_total nothing']).toBe(1);
    const back = await bench.open({ ...opened, epoch: 8 }, 'session-of-tests-1');
    // Of no forward of its own: its device counts on none but what it knows as the prefix.
    expect(back.client.last('session-opened')).toMatchObject({ epoch: 0, length: 64, prefix: 64 });
  });

  it('keeps thousands of detached sessions at the size of their rows', async () => {
    const bench = new SessionBench({
      sessionsMax: 10_000,
      contextBudgetBytes: 2_000 * 40 + 40_000,
      kvBytesPerPosition: 5,
    });
    for (let id = 0; id < 2_000; id++) {
      const { client, pipe } = await bench.open({ capacity: 50 }, `session-of-tests-${id}`);
      forward(client, 1, 0, 10);
      await quiet();
      pipe.cut();
      await quiet();
    }
    expect(bench.host.detached).toBe(2_000);
    // Forty bytes of rows each; what is left of the budget holds the KV of those that left last.
    expect(bench.cache.bytes.rows).toBe(2_000 * 40);
    expect(bench.cache.bytes.hot).toBeLessThanOrEqual(40_000);
    expect(bench.counted['tandem_context_evictions_total nothing']).toBeUndefined();
    const back = await bench.open({ capacity: 50, epoch: 1 }, 'session-of-tests-0');
    expect(back.client.last('session-opened')?.length).toBe(10);
    forward(back.client, 2, 10, 12, { want: [11] });
    await quiet();
    expect(back.client.last('verdict')?.tokens).toEqual([truth(11)]);
  });

  it('refuses at the door whoever could not go on to the end of its context', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 3_000, kvBytesPerPosition: 10 });
    const first = await bench.open({ capacity: 100 }, 'session-of-tests-1');
    await bench.open({ capacity: 100 }, 'session-of-tests-2');
    const third = await bench.open({ capacity: 100 }, 'session-of-tests-3');
    expect(third.client.last('error')).toMatchObject({ code: 'SERVER_BUSY', retryAfterMs: limits.BUSY_RETRY_AFTER_MS });
    // The same session again takes no more than it had.
    expect((await bench.open({ capacity: 100 }, 'session-of-tests-2')).client.closed).toBeUndefined();
    first.pipe.cut();
    await quiet();
    expect((await bench.open({ capacity: 100 }, 'session-of-tests-3')).client.closed).toBeUndefined();
    const back = await bench.open({ capacity: 100, epoch: 1 }, 'session-of-tests-1');
    expect(back.client.last('error')?.code).toBe('SERVER_BUSY');
  });

  it('keeps a prompt that came as token ids, and runs it as a whole again', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open({ capacity: 300 });
    const ids = new Uint8Array(Uint16Array.from(STORY.slice(0, 100)).buffer);
    const prompt = { epoch: 1, from: 0, count: 100, want: [99], drafts: [], asTokens: true as const };
    client.send('context-forward', prompt, ids);
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(99)]);
    forward(client, 1, 100, 104, { want: [103] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(103)]);
    bench.source.kill();
    forward(client, 1, 104, 106, { want: [105] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(105)]);
    expect(bench.engine.steps.map(({ from, input }) => [from, input?.kind])).toEqual([
      [0, 'tokens'],
      [100, 'encoded-rows'],
    ]);
    // Back into the prompt: what is left of it stays token ids, what comes are rows.
    forward(client, 2, 40, 50, { want: [49] });
    await quiet();
    bench.source.kill();
    forward(client, 2, 50, 52, { want: [51] });
    await quiet();
    expect(
      client
        .all('verdict')
        .slice(-2)
        .map(({ tokens }) => tokens),
    ).toEqual([[truth(49)], [truth(51)]]);
    expect(bench.engine.steps[0]?.input).toMatchObject({ kind: 'tokens', tokens: Int32Array.from(STORY.slice(0, 40)) });
  });

  it('counts to zero when everybody has gone', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 3_000, kvBytesPerPosition: 10 });
    const { client } = await bench.open();
    forward(client, 1, 0, 60, { want: [59] });
    await quiet();
    bench.engine.hold();
    forward(client, 1, 60, 70);
    await quiet();
    client.send('session-close', {});
    await quiet();
    bench.engine.release();
    await quiet();
    expect(bench.cache.bytes).toEqual({ hot: 0, rows: 0 });
    expect(bench.engine.sessions.size).toBe(0);
    expect(bench.clock.pending).toBe(0);
  });
});
