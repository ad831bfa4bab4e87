import { GREEDY, limits } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { ASK, buildPeer, draft, verdict } from '../support/peer-bench.js';

describe('a peer', () => {
  test('sends the rows with wants and drafts, and settles what the cloud confirms', async () => {
    const { ledger, peer, server, clock, events } = await buildPeer();
    draft(ledger, 10, 11);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toMatchObject([
      { from: 0, count: 4, want: [2, 3], drafts: [10, 11] },
    ]);
    await clock.advance(40);
    server.last.reply('verdict', verdict(ledger, [2, 3], [10, 11]));
    expect(ledger.settled).toBe(5);
    expect(peer.isAsked).toBe(false);
    expect(peer.meter.totals).toEqual({ forwards: 1, roundTrips: 1, wireMs: 35, engineMs: 3, queueMs: 2 });
    expect(events.map(({ kind }) => kind)).toContain('verdict');
    expect(clock.pending).toBe(0);
  });

  test('sends sampling only where somebody chooses', async () => {
    const { ledger, peer, server } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')[0]).toHaveProperty('sampling');
    const prefill = await buildPeer();
    prefill.ledger.addRows(prefill.ledger.feed(3).from, new Uint8Array(12));
    prefill.peer.flush(ASK);
    expect(prefill.server.last.sentOf('context-forward')[0]).not.toHaveProperty('sampling');
  });

  test.each([
    [1, 1],
    [2, 2],
    [64, limits.FORWARDS_IN_FLIGHT_MAX],
  ])('with a credit of %d keeps at most %d forwards under way', async (credit, most) => {
    const { ledger, peer, server } = await buildPeer([1, 2, 3], credit);
    for (let token = 10; token < 15; token++) {
      draft(ledger, token);
      peer.flush(ASK);
    }
    expect(server.last.sentOf('context-forward')).toHaveLength(most);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toHaveLength(most + 1);
  });

  test('a mismatch rolls back, and answers of the old epoch change nothing', async () => {
    const { ledger, peer, server, events } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    draft(ledger, 11);
    peer.flush(ASK);
    const late = verdict(ledger, [3], [11]);
    server.last.reply('verdict', verdict(ledger, [2], [99], { mismatch: true }));
    expect([ledger.length, ledger.settled, ledger.tokenAt(3)]).toEqual([4, 4, 99]);
    expect(peer.isAsked).toBe(false);
    server.last.reply('verdict', late);
    expect(ledger.length).toBe(4);
    expect(events.filter(({ kind }) => kind === 'rolled-back')).toHaveLength(1);
  });

  test('two forwards under way and a server that lost its rows: the context goes up once, within the credit', async () => {
    const { ledger, peer, server } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    for (const token of [11, 12]) {
      draft(ledger, token);
      peer.flush(ASK);
    }
    const lost = { epoch: ledger.epoch, length: 0 };
    server.last.reply('context-rewind', lost);
    peer.flush(ASK);
    server.last.reply('context-rewind', lost);
    peer.flush(ASK);
    const repeated = server.last.sentOf('context-forward').slice(3);
    expect(repeated).toMatchObject([{ from: 0, count: 5, epoch: lost.epoch + 1 }]);
  });

  test('silence is broken by a new epoch on a new connection', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    const { epoch } = ledger;
    const silent = server.last;
    await clock.advance(limits.SILENCE_TIMEOUT_MS - 1);
    expect(server.connections).toHaveLength(1);
    // The forward's own bytes have their time, too.
    await clock.advance(2);
    expect(server.connections).toHaveLength(2);
    expect(silent.isClosed).toBe(true);
    expect(ledger.epoch).toBeGreaterThan(epoch);
    server.last.accept(3);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toMatchObject([{ from: 0, want: [2], drafts: [10] }]);
  });

  test('nobody waits for an answer when nothing is owed', async () => {
    const { clock, server } = await buildPeer();
    await clock.advance(10 * limits.SILENCE_TIMEOUT_MS);
    expect(server.connections).toHaveLength(1);
  });

  test('after a reconnect it goes on from what was acknowledged, in a new epoch', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    draft(ledger, 11);
    peer.flush(ASK);
    const { epoch } = ledger;
    server.last.lose();
    await clock.advance(0);
    expect(peer.isAsked).toBe(false);
    // The server got the second forward, but nobody knows whose row it holds.
    server.last.accept(4);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toMatchObject([{ epoch: epoch + 1, from: 3, count: 1, want: [3] }]);
  });

  test('cancel drops the drafts and tells a server that is busy', async () => {
    const { ledger, peer, server } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    peer.cancel();
    expect(ledger.length).toBe(3);
    expect(server.last.sentOf('context-forward').at(-1)).toMatchObject({ epoch: ledger.epoch, count: 0, want: [] });
    const idle = await buildPeer();
    idle.peer.cancel();
    expect(idle.server.last.sentOf('context-forward')).toEqual([]);
  });

  test('a cancel takes a place of the credit until it is answered: whoever goes on at once sends one forward less', async () => {
    const { ledger, peer, server } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    peer.cancel();
    const sent = () => server.last.sentOf('context-forward').length;
    const before = sent();
    draft(ledger, 11, 12);
    peer.flush(ASK);
    draft(ledger, 13);
    peer.flush(ASK);
    expect(sent()).toBe(before + 1);
    server.last.reply('credit', { epoch: ledger.epoch, length: 3 });
    peer.flush(ASK);
    expect(sent()).toBe(before + 2);
  });

  test('a cancel that a new text overtakes is never answered, and nobody waits for it', async () => {
    const { ledger, peer, server } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    peer.cancel();
    ledger.begin([1, 2, 4]);
    draft(ledger, 11);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward').at(-1)).toMatchObject({ epoch: ledger.epoch, want: [2] });
    server.last.reply('verdict', verdict(ledger, [2], [11]));
    expect(ledger.settled).toBe(4);
    expect(peer.isAsked).toBe(false);
  });

  test('an extension is answered token by token, one round trip in all', async () => {
    const { clock, server, peer, ledger } = await buildPeer([1, 2, 3], 2, 'tokens');
    peer.flush({ sampling: GREEDY, askLast: true, extend: 2 });
    expect(server.last.sentOf('context-forward')).toMatchObject([{ from: 0, count: 3, want: [2], extend: 2 }]);
    for (const [i, token] of [50, 51, 52].entries()) {
      expect(peer.isAsked).toBe(true);
      // The token chosen last is unsent, but a forward would stop the extension.
      peer.flush({ sampling: GREEDY, askLast: true, extend: 2 });
      expect(server.last.sentOf('context-forward')).toHaveLength(1);
      await clock.advance(20);
      server.last.reply('verdict', verdict(ledger, [2 + i], [token]));
    }
    expect(peer.isAsked).toBe(false);
    expect([ledger.settled, ledger.sent, peer.meter.totals.roundTrips]).toEqual([6, 5, 1]);
  });

  test('what only a client sends, or rows nobody sent, end the connection and not the process', async () => {
    for (const kind of ['session-open', 'session-close'] as const) {
      const { peer, server } = await buildPeer();
      const control = { model: '', format: '', context: 'rows', codec: '', capacity: 1, epoch: 0 } as const;
      server.last.reply(kind, kind === 'session-open' ? control : {});
      expect([peer.state, peer.error?.code]).toEqual(['failed', 'PROTOCOL_VIOLATION']);
    }
    const { peer, server, ledger } = await buildPeer();
    server.last.reply('verdict', verdict(ledger, [40], [1]));
    expect([peer.state, peer.error?.code]).toEqual(['failed', 'PROTOCOL_VIOLATION']);
  });

  test('changes wake who waits; a signal does, too', async () => {
    const { peer, server, ledger } = await buildPeer();
    const stop = new AbortController();
    const woken = peer.changedSince(peer.version, stop.signal);
    server.last.reply('credit', { epoch: ledger.epoch, length: 0 });
    await expect(woken).resolves.toBeUndefined();
    const aborted = peer.changedSince(peer.version, stop.signal);
    stop.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect(peer.changedSince(peer.version, stop.signal)).rejects.toThrow('enough');
  });

  test('close leaves no timers', async () => {
    const { peer, ledger, clock } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    expect(clock.pending).toBeGreaterThan(0);
    peer.close();
    expect(clock.pending).toBe(0);
  });
});
