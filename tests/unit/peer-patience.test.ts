import { limits } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { settle } from '../support/manual-clock.js';
import { ASK, buildPeer, draft, verdict } from '../support/peer-bench.js';

const MIB = 1024 * 1024;

/** How long a peer waits, how much it keeps waiting, and what it tells of that. */
describe('silence', () => {
  test('is asked about in its middle; a server that answers may be busy for long', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    let answered = 0;
    for (let waitedMs = 0; waitedMs < limits.ANSWER_TIMEOUT_MS - limits.SILENCE_TIMEOUT_MS; ) {
      await clock.advance(limits.SILENCE_TIMEOUT_MS / 2 + 1);
      waitedMs += limits.SILENCE_TIMEOUT_MS / 2 + 1;
      const pings = server.last.sentOf('ping');
      for (; answered < pings.length; answered++) server.last.reply('pong', pings[answered]!);
    }
    expect(answered).toBeGreaterThan(1);
    expect(server.connections).toHaveLength(1);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    expect(ledger.settled).toBe(4);
    expect(clock.pending).toBe(0);
  });

  test('a server that says much and never answers is left in the end', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    const chatty = server.last;
    for (let waitedMs = 0; waitedMs < limits.ANSWER_TIMEOUT_MS + limits.SILENCE_TIMEOUT_MS; waitedMs += 1_000) {
      await clock.advance(1_000);
      if (!chatty.isClosed) chatty.reply('pong', { nonce: 1 });
    }
    expect(chatty.isClosed).toBe(true);
    expect(server.connections.length).toBeGreaterThan(1);
  });

  test('begins when a slow uplink has had its time', async () => {
    const prompt = Array.from({ length: 60_000 }, (_, index) => index % 100);
    const { ledger, peer, server, clock } = await buildPeer(prompt);
    draft(ledger, 10);
    peer.flush(ASK);
    const bytes = 4 * server.last.sentOf('context-forward').reduce((sum, { count }) => sum + count, 0);
    const uploadMs = bytes / limits.UP_BYTES_PER_MS_MIN;
    await clock.advance(limits.SILENCE_TIMEOUT_MS + uploadMs - 1);
    expect(server.connections).toHaveLength(1);
    await clock.advance(2);
    expect(server.connections).toHaveLength(2);
  });
});

describe('the send queue', () => {
  test('takes no more while much waits in the transport, and goes on when it has drained', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    server.bufferedBytes = limits.SEND_QUEUE_BYTES_MAX + 1;
    draft(ledger, 10);
    expect(peer.canSend).toBe(false);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toEqual([]);
    const { version } = peer;
    await clock.advance(1_000);
    expect(peer.version, 'nobody is woken for nothing').toBe(version);
    server.bufferedBytes = limits.SEND_QUEUE_BYTES_MAX;
    await clock.advance(1_000);
    expect(peer.version).toBeGreaterThan(version);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toHaveLength(1);
  });

  test('is bounded, however often somebody aborts and asks again on a link that takes nothing', async () => {
    const { ledger, peer, server } = await buildPeer();
    const rowBytes = 4;
    for (let round = 0; round < 4_000; round++) {
      ledger.begin(Array.from({ length: 1_000 }, (_, index) => (index + round) % 100));
      draft(ledger, 10);
      peer.flush(ASK);
      peer.cancel();
      const sent = server.last.sentOf('context-forward');
      server.bufferedBytes = sent.reduce((sum, { count }) => sum + count * rowBytes, 0);
    }
    expect(server.bufferedBytes).toBeLessThan(limits.SEND_QUEUE_BYTES_MAX + limits.FRAME_BYTES_MAX);
  });

  test('a link that takes nothing for as long as silence may last is given up', async () => {
    const { ledger, peer, server, clock } = await buildPeer();
    server.bufferedBytes = 2 * MIB;
    draft(ledger, 10);
    peer.flush(ASK);
    await clock.advance(limits.SILENCE_TIMEOUT_MS - 100);
    server.bufferedBytes--;
    await clock.advance(limits.SILENCE_TIMEOUT_MS - 100);
    expect(server.connections, 'a byte is a sign of life').toHaveLength(1);
    await clock.advance(200);
    expect(server.connections).toHaveLength(2);
    peer.close();
    expect(clock.pending).toBe(0);
  });
});

describe('catching up', () => {
  test('tells what a server costs that has missed a stretch: before, and what it was', async () => {
    const { ledger, peer, server, clock, events } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    await clock.advance(50);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    server.last.lose();
    for (const token of [11, 12, 13, 14]) draft(ledger, token);
    ledger.settleOnDevice();
    await clock.advance(0);
    await settle();
    server.last.accept(3);
    draft(ledger, 15);
    peer.flush(ASK);
    // Rows 3 to 7: those of the tokens that were settled alone, and of the last one before.
    const costs = events.filter((event) => event.kind === 'catch-up');
    const began = { kind: 'catch-up', rows: 5, bytes: 20, predictedMs: expect.closeTo(45 + 20 / 1_250, 3) };
    expect(costs).toEqual([{ ...began, state: 'began' }]);
    await clock.advance(70);
    server.last.reply('verdict', verdict(ledger, [7], [15]));
    expect(events.filter((event) => event.kind === 'catch-up').slice(1)).toEqual([
      { ...began, state: 'done', elapsedMs: 70 },
    ]);
  });

  test('a prompt is no debt, nor is the one row that always goes up', async () => {
    const { ledger, peer, server, clock, events } = await buildPeer();
    draft(ledger, 10);
    peer.flush(ASK);
    server.last.reply('verdict', verdict(ledger, [2], [10]));
    server.last.lose();
    await clock.advance(0);
    server.last.accept(3);
    draft(ledger, 11);
    peer.flush(ASK);
    expect(events.filter(({ kind }) => kind === 'catch-up')).toEqual([]);
  });

  test('a connection that is lost meanwhile begins anew', async () => {
    const { ledger, peer, server, clock, events } = await buildPeer();
    server.last.lose();
    for (const token of [11, 12, 13]) draft(ledger, token);
    ledger.settleOnDevice();
    for (let round = 0; round < 2; round++) {
      await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
      server.last.accept(0);
      draft(ledger, 20 + round);
      peer.flush(ASK);
      if (round === 0) server.last.lose();
    }
    const told = events.filter((event) => event.kind === 'catch-up');
    expect(told.map(({ state, rows }) => [state, rows])).toEqual([
      ['began', 6],
      ['began', 6],
    ]);
  });
});
