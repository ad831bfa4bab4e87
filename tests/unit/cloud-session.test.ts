import { limits, type StepRequest, TandemError } from '@tandem/shared';
import { beforeEach, describe, expect, it } from 'vitest';
import { HASH_INFO } from '../support/hash-engine.js';
import { forward, payload, SessionBench, truth } from '../support/session-bench.js';
import { quiet, type WireClient } from '../support/wire-client.js';

/** The server's half of the protocol, on an engine whose choices show every wrong, missing or doubled row. */
describe('cloud session', () => {
  let bench: SessionBench;
  let client: WireClient;

  beforeEach(async () => {
    bench = new SessionBench();
    ({ client } = await bench.open());
  });

  it('answers rows with a credit and wanted rows with a verdict', async () => {
    expect(client.last('session-opened')).toEqual({ epoch: 0, length: 0, forwardsInFlight: 2 });
    forward(client, 1, 0, 4);
    forward(client, 1, 4, 8, { want: [5, 7], drafts: [truth(5)] });
    await quiet();
    expect(client.last('credit')).toEqual({ epoch: 1, length: 4 });
    expect(client.last('verdict')).toMatchObject({
      epoch: 1,
      rows: [5, 7],
      tokens: [truth(5), truth(7)],
      mismatch: false,
      length: 8,
    });
  });

  it('gives the same verdict to a forward that is repeated', async () => {
    forward(client, 1, 0, 6, { want: [5] });
    await quiet();
    forward(client, 2, 2, 6, { want: [5] });
    await quiet();
    const [first, second] = client.all('verdict');
    expect(second?.tokens).toEqual(first?.tokens);
    expect(second?.length).toBe(6);
  });

  it('drops a forward of an older epoch without a word', async () => {
    forward(client, 5, 0, 4);
    forward(client, 4, 0, 2, { want: [1] });
    forward(client, 5, 4, 6, { want: [5] });
    await quiet();
    expect(client.all('verdict')).toHaveLength(1);
    expect(client.last('verdict')).toMatchObject({ epoch: 5, tokens: [truth(5)], length: 6 });
  });

  it('adopts a newer epoch: what was queued is dropped, what runs is not answered', async () => {
    bench.engine.hold();
    forward(client, 1, 0, 4, { want: [3] });
    forward(client, 1, 4, 8, { want: [7] });
    await quiet();
    forward(client, 2, 2, 5, { want: [4] });
    await quiet();
    bench.engine.release();
    await quiet();
    expect(client.all('verdict')).toHaveLength(1);
    expect(client.last('verdict')).toMatchObject({ epoch: 2, rows: [4], tokens: [truth(4)], length: 5 });
    expect(bench.engine.steps.map(({ from }) => from)).toEqual([0, 2]);
  });

  it('asks for what it lacks, once, and goes on when it comes', async () => {
    forward(client, 1, 0, 4);
    forward(client, 1, 6, 8, { want: [7] });
    await quiet();
    forward(client, 1, 8, 10, { want: [9] });
    await quiet();
    expect(client.all('context-rewind')).toEqual([{ epoch: 1, length: 4 }]);
    forward(client, 1, 4, 10, { want: [9] });
    await quiet();
    expect(client.last('verdict')).toMatchObject({ rows: [9], tokens: [truth(9)] });
    forward(client, 1, 12, 13);
    await quiet();
    expect(client.all('context-rewind')).toHaveLength(2);
  });

  it('judges a forward behind a queued one when its turn comes', async () => {
    bench.engine.hold();
    forward(client, 1, 0, 4);
    forward(client, 1, 4, 6, { want: [5] });
    await quiet();
    bench.engine.release();
    await quiet();
    expect(client.all('context-rewind')).toEqual([]);
    expect(client.last('verdict')?.tokens).toEqual([truth(5)]);
  });

  it('stops at a mismatch, drops the queue, and is deaf until the epoch changes', async () => {
    bench.engine.hold();
    const wrong = (truth(3) + 1) % 50;
    forward(client, 1, 0, 6, { want: [2, 3, 4], drafts: [truth(2), wrong, truth(4)] });
    forward(client, 1, 6, 8, { want: [7] });
    await quiet();
    bench.engine.release();
    await quiet();
    forward(client, 1, 4, 6, { want: [5] });
    await quiet();
    const expected = { epoch: 1, rows: [2, 3], tokens: [truth(2), truth(3)], mismatch: true, length: 4 };
    expect(client.all('verdict')).toHaveLength(1);
    expect(client.last('verdict')).toMatchObject(expected);
    expect(bench.engine.steps).toHaveLength(1);
    forward(client, 2, 4, 6, { want: [5] });
    await quiet();
    expect(client.last('verdict')).toMatchObject({ epoch: 2, tokens: [truth(5)] });
  });

  it('refuses a third forward that waits for an answer, but counts none that nobody waits for', async () => {
    bench.engine.hold();
    forward(client, 1, 0, 2);
    forward(client, 1, 2, 4);
    forward(client, 2, 0, 2);
    forward(client, 2, 2, 4);
    await quiet();
    expect(client.closed).toBeUndefined();
    forward(client, 2, 4, 6);
    await quiet();
    expect(client.last('error')?.code).toBe('PROTOCOL_VIOLATION');
    expect(client.closed?.code).toBe(4403);
  });

  it.each([
    ['wants that do not ascend', { want: [3, 3] }, /ascend/],
    ['a want outside the forward', { want: [4] }, /ends before 4/],
    ['a want before the forward', { from: 2, count: 2, want: [1] }, /ascend/],
    ['more drafts than wants', { want: [3], drafts: [1, 2] }, /2 drafts for 1/],
    ['two drafts missing', { want: [1, 2, 3], drafts: [1] }, /1 drafts for 3/],
    ['rows beyond the capacity', { from: 98, count: 4 }, /opened for 100/],
    ['a payload that is too short', { count: 5 }, /payload of 16 bytes, 5 times 4/],
    ['an extension of rows', { want: [3], extend: 5 }, /extend/],
  ])('refuses %s and closes this connection only', async (_, asked, message) => {
    const other = await bench.open({}, 'session-of-tests-2');
    const control = { epoch: 1, from: 0, count: 4, want: [], drafts: [], ...asked };
    client.send('context-forward', control, payload(0, Math.min(control.count, 4)));
    await quiet();
    expect(client.last('error')).toMatchObject({ code: 'PROTOCOL_VIOLATION', message: expect.stringMatching(message) });
    expect(client.closed).toBeDefined();
    forward(other.client, 1, 0, 3, { want: [2] });
    await quiet();
    expect(other.client.last('verdict')?.tokens).toEqual([truth(2)]);
  });

  it('truncates and cancels with an empty forward', async () => {
    forward(client, 1, 0, 6);
    await quiet();
    forward(client, 2, 3, 3);
    await quiet();
    expect(client.last('credit')).toEqual({ epoch: 2, length: 3 });
  });

  it('keeps nothing of the frame: its buffer may be used again', async () => {
    bench.engine.hold();
    forward(client, 1, 0, 4, { want: [3] });
    await quiet();
    const [step] = bench.engine.steps;
    const input = step?.input;
    expect(input?.kind === 'encoded-rows' && input.bytes.buffer.byteLength).toBe(16);
  });
});

describe('cloud session, when the engine fails', () => {
  it('goes on in the next one from the rows that it has, and the client hears nothing of it', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    forward(client, 1, 0, 4);
    await quiet();
    bench.engine.hold();
    forward(client, 1, 4, 6, { want: [5] });
    forward(client, 1, 6, 8, { want: [7] });
    await quiet();
    bench.source.kill();
    await quiet();
    expect(client.all('context-rewind')).toEqual([]);
    expect(client.all('verdict').map(({ tokens }) => tokens)).toEqual([[truth(5)], [truth(7)]]);
    expect(bench.engine.steps.map(({ from, input }) => [from, rowsIn(input)])).toEqual([
      [0, 6],
      [6, 2],
    ]);
  });

  it('notices at the next forward that the engine was replaced in between', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    forward(client, 1, 0, 4);
    await quiet();
    bench.source.kill();
    forward(client, 1, 4, 6, { want: [5] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(5)]);
  });

  it('opens the session anew after a step that failed in a living engine', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    forward(client, 1, 0, 2);
    await quiet();
    bench.engine.nextError = new Error('native trouble');
    forward(client, 1, 2, 4, { want: [3] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(3)]);
    expect(bench.engine.steps.at(-1)?.from).toBe(0);
    expect(bench.engine.sessions.size).toBe(1);
  });

  it('asks for the rows again when they made room for another between a failure and the next try', async () => {
    const bench = new SessionBench();
    const from = { singles: 2, verifies: 2 };
    bench.source.info = { ...HASH_INFO, batch: { slots: 2, from, gain: from, why: 'asked for' } };
    const clients = [];
    for (const id of ['first-of-three', 'second-of-three', 'third-of-three']) {
      const { client } = await bench.open({}, id);
      forward(client, 1, 0, 2);
      await quiet();
      clients.push(client);
    }
    // The first runs, the others wait for their turn together; then the engine is gone, and memory short.
    bench.engine.hold();
    for (const client of clients) forward(client, 1, 2, 4, { want: [3] });
    await quiet();
    bench.cache.budgetBytes = 80;
    bench.source.kill();
    await quiet();
    const told = clients.map((client) => client.last('verdict')?.tokens ?? client.last('context-rewind')?.length);
    expect(told).toContain(0);
    for (const answer of told) expect([[truth(3)], 0]).toContainEqual(answer);
  });

  it('gives up on a forward that fails every time', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    bench.engine.everyError = new Error('native trouble');
    forward(client, 1, 0, 4);
    await quiet();
    expect(bench.engine.steps).toHaveLength(limits.ENGINE_RETRIES_MAX + 1);
    expect(client.last('error')?.code).toBe('ENGINE_FAILED');
    expect(client.closed?.code).toBe(4500);
  });

  it('tells the client of its own fault instead of trying again', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    bench.engine.nextError = new TandemError('PROTOCOL_VIOLATION', 'a row holds a number that is not finite');
    forward(client, 1, 0, 4);
    await quiet();
    expect(client.last('error')?.code).toBe('PROTOCOL_VIOLATION');
    expect(client.closed).toBeDefined();
    // The rows that were refused are not kept: a resumed session must not count on them.
    const again = await bench.open({ epoch: 1 });
    expect(again.client.last('session-opened')?.length).toBe(0);
  });
});

function rowsIn(input: StepRequest['input']): number {
  return input?.kind === 'encoded-rows' ? input.bytes.length / 4 : 0;
}
