import { limits } from '@tandem/shared';
import { describe, expect, it } from 'vitest';
import { DECLARATION, forward, SessionBench, truth } from '../support/session-bench.js';
import { quiet } from '../support/wire-client.js';

describe('client connection', () => {
  it('closes, without an error, when no session-open comes', async () => {
    const bench = new SessionBench();
    const { client } = bench.connect();
    await bench.clock.advance(limits.OPEN_TIMEOUT_MS);
    await quiet();
    expect(client.last('error')).toBeUndefined();
    expect(client.closed?.code).toBe(4408);
    expect(bench.host.connections).toBe(0);
  });

  it('answers a ping', async () => {
    const { client } = await new SessionBench().open();
    client.send('ping', { nonce: 7 });
    await quiet();
    expect(client.last('pong')).toEqual({ nonce: 7 });
  });

  it.each([
    ['a forward before session-open', 'context-forward', { epoch: 0, from: 0, count: 0, want: [], drafts: [] }],
    ['a verdict', 'credit', { epoch: 0, length: 0 }],
  ] as const)('refuses %s', async (_, kind, control) => {
    const bench = new SessionBench();
    const { client } = bench.connect();
    client.send(kind, control as never);
    await quiet();
    expect(client.last('error')?.code).toBe('PROTOCOL_VIOLATION');
  });

  it('refuses a second session-open', async () => {
    const { client } = await new SessionBench().open();
    client.send('session-open', DECLARATION);
    await quiet();
    expect(client.last('error')?.code).toBe('PROTOCOL_VIOLATION');
  });

  it('refuses bytes that are no frame', async () => {
    const { client } = await new SessionBench().open();
    client.transport.send(new Uint8Array(40).fill(7));
    await quiet();
    expect(client.last('error')?.code).toBe('MALFORMED_FRAME');
    expect(client.closed?.code).toBe(4400);
  });

  it('cuts a client that does not read', async () => {
    const bench = new SessionBench();
    const { client, pipe } = await bench.open();
    pipe.serverBufferedBytes = limits.SEND_BUFFER_BYTES_MAX + 1;
    client.send('ping', { nonce: 1 });
    await quiet();
    expect(client.closed?.code).toBe(4428);
    expect(bench.host.sessions).toBe(1);
  });

  it('drains: tells clients, serves them until they go, opens nothing, closes', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    const drained = bench.host.drain();
    await quiet();
    expect(client.last('drain')).toEqual({ deadlineMs: limits.DRAIN_SPREAD_MS });
    const late = await bench.open({}, 'session-of-tests-2');
    expect(late.client.last('error')?.code).toBe('SERVER_DRAINING');
    forward(client, 1, 0, 4, { want: [3] });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(3)]);
    bench.engine.hold();
    forward(client, 1, 4, 6, { want: [5] });
    await quiet();
    await bench.clock.advance(limits.DRAIN_SPREAD_MS + limits.DRAIN_SLACK_MS);
    // From now on only what is under way is answered.
    forward(client, 1, 6, 8, { want: [7] });
    bench.engine.release();
    await drained;
    await quiet();
    expect(client.all('verdict').map(({ rows }) => rows)).toEqual([[3], [5]]);
    bench.host.dispose();
    await quiet();
    expect(client.closed?.code).toBe(1012);
    expect(bench.clock.pending).toBe(0);
  });

  it('has drained as soon as the last client has gone', async () => {
    const bench = new SessionBench();
    const { pipe } = await bench.open();
    const drained = bench.host.drain();
    pipe.cut();
    await quiet();
    await drained;
    bench.host.dispose();
    expect(bench.clock.pending).toBe(0);
  });

  it('drains no longer than the grace allows', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open();
    bench.engine.hold();
    forward(client, 1, 0, 4);
    await quiet();
    let isOver = false;
    void bench.host.drain().then(() => {
      isOver = true;
    });
    await bench.clock.advance(limits.DRAIN_SPREAD_MS + limits.DRAIN_SLACK_MS);
    await bench.clock.advance(limits.STOP_GRACE_MS - 1);
    expect(isOver).toBe(false);
    await bench.clock.advance(1);
    await quiet();
    expect(isOver).toBe(true);
  });
});
