import { CloudPeer, EventStream, Ledger } from '@tandem/edge/testing';
import { GREEDY, limits, type Messages } from '@tandem/shared';
import { describe, expect, test } from 'vitest';
import { FakeServer } from '../support/fake-server.js';
import { unverified } from '../support/ledger-entries.js';
import { ManualClock, settle } from '../support/manual-clock.js';

const ASK = { sampling: GREEDY, askLast: false, extend: 0 };

/** A peer whose session allows a larger model, at a server that has one unless told otherwise. */
async function build(larger: { largerModel?: string } = { largerModel: 'big' }) {
  const clock = new ManualClock();
  const server = new FakeServer();
  const ledger = new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: 4 });
  const states: string[] = [];
  const events = new EventStream();
  events.observable.subscribe((event) => {
    if (event.kind === 'larger-model') states.push(`${event.state} ${event.position}`);
  });
  const declaration = { model: 'm', format: 'f32', context: 'rows', codec: 'f32', capacity: 64 } as const;
  const peer = new CloudPeer({
    ledger,
    declaration: { ...declaration, largerModel: 'allow' },
    connect: async () => server.connect,
    unavailableAfterMs: 60_000,
    clock,
    random: { next: () => 0.5 },
    events,
    judged: () => {},
  });
  peer.start();
  await settle();
  ledger.begin([1, 2, 3]);
  server.last.handlers.opened();
  server.last.reply('session-opened', { epoch: 0, length: 0, forwardsInFlight: 2, ...larger });
  for (const token of [10, 11, 12]) {
    const { from, tokens } = ledger.feed(ledger.length);
    ledger.addRows(from, new Uint8Array(4 * tokens.length));
    ledger.append(unverified(token));
  }
  peer.flush(ASK);
  return { clock, server, ledger, peer, states };
}

/** Row 2 is right, row 3 goes to the larger model. */
function handedOver({ epoch }: Ledger): Messages['verdict'] {
  return { epoch, rows: [2], tokens: [10], mismatch: false, length: 3, engineMs: 1, queueMs: 0, handedOver: true };
}

const passage = ({ epoch }: Ledger, row = 3) => ({ epoch, row, tokens: [20, 21, 22], model: 'big' });
const text = (ledger: Ledger) => Array.from({ length: ledger.length }, (_, position) => ledger.tokenAt(position));

describe('a peer of a server with a larger model', () => {
  test('says that it allows one, and sends token ids beside rows once it hears of one', async () => {
    const { server } = await build();
    expect(server.last.sentOf('session-open')[0]).toMatchObject({ largerModel: 'allow' });
    expect(server.last.sentOf('context-forward')).toMatchObject([{ from: 0, count: 5, tokens: [1, 2, 3, 10, 11] }]);
    const without = await build({});
    expect(without.server.last.sentOf('context-forward')[0]).not.toHaveProperty('tokens');
  });

  test('keeps asking while the larger model writes; a passage settles in place of the drafts', async () => {
    const { ledger, peer, server, states, clock } = await build();
    server.last.reply('verdict', handedOver(ledger));
    expect([ledger.settled, peer.isAsked]).toEqual([4, true]);
    const { epoch } = ledger;
    server.last.reply('passage', passage(ledger));
    expect(text(ledger)).toEqual([1, 2, 3, 10, 20, 21, 22]);
    expect([ledger.settled, ledger.epoch, peer.isAsked, ledger.acked]).toEqual([7, epoch + 1, false, 4]);
    expect(ledger.entryAt(4)?.origin).toEqual({ kind: 'larger-model', model: 'big' });
    expect(ledger.entryAt(3)?.origin).toMatchObject({ kind: 'exit', verified: true });
    expect(states).toEqual(['asked 4', 'wrote 4']);
    expect(clock.pending).toBe(0);
  });

  test('goes on with the verdict where the larger model gave up', async () => {
    const { ledger, peer, server, states } = await build();
    server.last.reply('verdict', handedOver(ledger));
    const rest = { ...handedOver(ledger), rows: [3, 4], tokens: [11, 12], length: 5 };
    server.last.reply('verdict', { ...rest, handedOver: false });
    expect([ledger.settled, peer.isAsked]).toEqual([6, false]);
    expect(states).toEqual(['asked 4', 'gave-up 4']);
  });

  test('asks for the row again that was handed over when the connection was lost', async () => {
    const { ledger, peer, server, clock } = await build();
    server.last.reply('verdict', handedOver(ledger));
    server.last.lose();
    await clock.advance(limits.RECONNECT_DELAY_MS_MAX);
    server.last.handlers.opened();
    const opened = { epoch: ledger.epoch, length: 5, forwardsInFlight: 2, largerModel: 'big' };
    server.last.reply('session-opened', opened);
    peer.flush(ASK);
    expect(server.last.sentOf('context-forward')).toMatchObject([{ from: 3, want: [3, 4], drafts: [11, 12] }]);
  });

  test('a server that is silent after it handed over is taken for dead, from then on', async () => {
    const { ledger, peer, server, clock } = await build();
    await clock.advance(limits.SILENCE_TIMEOUT_MS - 1);
    server.last.reply('verdict', handedOver(ledger));
    await clock.advance(limits.SILENCE_TIMEOUT_MS - 1);
    expect(peer.state).toBe('open');
    // The forward's own bytes have their time, too.
    await clock.advance(3);
    expect(peer.state).toBe('connecting');
  });

  test.each([
    ['of an older epoch', (ledger: Ledger) => ({ ...passage(ledger), epoch: ledger.epoch - 1 }), 0],
    ['in front of settled text', (ledger: Ledger) => passage(ledger, 1), 1],
    ['behind a draft that nobody has judged', (ledger: Ledger) => passage(ledger, 4), 1],
  ])('drops a passage %s', async (_, make, epochs) => {
    const { ledger, peer, server } = await build();
    server.last.reply('verdict', handedOver(ledger));
    const before = { text: text(ledger), settled: ledger.settled, epoch: ledger.epoch };
    server.last.reply('passage', make(ledger));
    expect({ text: text(ledger), settled: ledger.settled }).toEqual({ text: before.text, settled: before.settled });
    // The server hears nothing more of the epoch in which it sent one: it has to be asked anew.
    expect(ledger.epoch - before.epoch).toBe(epochs);
    expect(peer.isAsked).toBe(epochs === 0);
  });
});
