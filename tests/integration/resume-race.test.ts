import { type CloudServer, startServer } from '@tandem/cloud';
import { webSocketConnect } from '@tandem/edge/testing';
import type { Messages } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { WireClient } from '../support/wire-client.js';

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
const TOKENS = Array.from({ length: 20 }, (_, index) => (index * 11 + 3) % 60);
const RACERS = 100;

/** One session, one token, a hundred connections that bring it at the same moment. */
describe('a race for a session', () => {
  let bundle: SmallBundle;
  let server: CloudServer;
  let declaration: Messages['session-open'];
  let rows: Uint8Array;
  let bytesPerRow: number;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    server = await startServer({ model: bundle.directory, port: 0, threads: 1, logLevel: 'silent' });
    const { model, format, contextLength: capacity } = bundle.engine.info;
    declaration = { model, format, context: 'rows', codec: 'f32', capacity, epoch: 0 };
    rows = await bundle.rows(TOKENS);
    bytesPerRow = rows.length / TOKENS.length;
  });

  afterAll(async () => {
    await server?.close();
    await bundle?.remove();
  });

  const connected = (sessionId: string) =>
    new WireClient(webSocketConnect({ url: server.url, sessionId, token: undefined })).opened();

  function forward(client: WireClient, from: number, to: number, epoch: number): void {
    const control = { epoch, from, count: to - from, want: [to - 1], drafts: [], sampling: GREEDY };
    client.send('context-forward', control, rows.slice(from * bytesPerRow, to * bytesPerRow));
  }

  it.each(['with the token', 'without one'] as const)('has one owner, %s: the others hear so', async (way) => {
    const id = `race-for-a-session-${way.length}`;
    const first = await connected(id);
    first.send('session-open', declaration);
    const { resume } = await first.take('session-opened');
    forward(first, 0, 10, 1);
    await first.take('verdict');

    const racers = await Promise.all(Array.from({ length: RACERS }, () => connected(id)));
    for (const racer of racers) {
      racer.send('session-open', { ...declaration, epoch: 1, ...(way === 'with the token' ? { resume } : {}) });
    }
    const losers = [first, ...racers];
    const tokens = new Set<string>();
    let owner: WireClient | undefined;
    const opened = await Promise.all(racers.map((racer) => racer.take('session-opened')));
    for (const { resume: token } of opened) tokens.add(token!);
    // The last one that was let in; everybody before it was sent away.
    for (const client of [...losers].reverse()) {
      const isOwner = await isAlive(client);
      if (!isOwner) continue;
      expect(owner).toBeUndefined();
      owner = client;
    }
    expect(owner).toBeDefined();
    expect(tokens.size).toBe(RACERS);
    for (const client of losers.filter((other) => other !== owner)) {
      expect(await client.ended()).toMatchObject({ code: 4409 });
      expect(client.last('error')?.code).toBe('SESSION_TAKEN');
      expect(client.all('verdict')).toEqual([]);
    }
    // The token was good once: rows were given to one of them at most, and with it to nobody who came later.
    const withRows = opened.filter(({ length }) => length > 0);
    expect(withRows.length).toBe(way === 'with the token' ? 1 : 0);

    forward(owner!, 0, TOKENS.length, 2);
    const { token } = await bundle.choice(TOKENS, GREEDY);
    expect((await owner!.take('verdict')).tokens).toEqual([token]);
    owner!.transport.close();
  });

  /** Answers a ping. Those that lost have been closed, or will be with what is under way. */
  async function isAlive(client: WireClient): Promise<boolean> {
    if (client.closed) return false;
    client.send('ping', { nonce: 1 });
    return client.take('pong').then(
      () => true,
      () => false,
    );
  }
});
