import { CloudPeer, EventStream, Ledger, type SessionEvent, type SharedPrefix } from '@tandem/edge/testing';
import { GREEDY, type Messages } from '@tandem/shared';
import { FakeServer } from './fake-server.js';
import { unverified } from './ledger-entries.js';
import { ManualClock, settle } from './manual-clock.js';

export const ASK = { sampling: GREEDY, askLast: false, extend: 0 };

/** A peer with an open connection to a server that the test plays. */
export async function buildPeer(
  prompt = [1, 2, 3],
  forwardsInFlight = 2,
  context: 'rows' | 'tokens' = 'rows',
  prefix?: SharedPrefix,
) {
  const clock = new ManualClock();
  const server = new FakeServer();
  const ledger = new Ledger({ kind: context, vocabularySize: 100, bytesPerRow: 4 });
  const events: SessionEvent[] = [];
  const stream = new EventStream();
  stream.observable.subscribe((event) => events.push(event));
  const peer = new CloudPeer({
    ledger,
    declaration: { model: 'm', format: 'f32', context, codec: 'f32', capacity: 64 },
    prefix,
    connect: async () => server.connect,
    unavailableAfterMs: 60_000,
    clock,
    random: { next: () => 0.5 },
    events: stream,
    judged: () => {},
  });
  peer.start();
  await settle();
  ledger.begin(prompt);
  server.last.accept(0, forwardsInFlight);
  return { clock, server, ledger, peer, events };
}

/** Drafts `tokens` and brings the rows before them to the cut. */
export function draft(ledger: Ledger, ...tokens: number[]): void {
  for (const token of tokens) {
    const { from, tokens: fed } = ledger.feed(ledger.length);
    ledger.addRows(from, new Uint8Array(4 * fed.length));
    ledger.append(unverified(token));
  }
}

export function verdict(ledger: Ledger, rows: number[], tokens: number[], more: Partial<Messages['verdict']> = {}) {
  return {
    epoch: ledger.epoch,
    rows,
    tokens,
    mismatch: false,
    length: rows.at(-1)! + 1,
    engineMs: 3,
    queueMs: 2,
    ...more,
  };
}
