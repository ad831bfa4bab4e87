import { type HandOffPolicy, LargerModel } from '@tandem/cloud/testing';
import { encodeTokenIds, systemClock } from '@tandem/shared';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FAULTS, type ScriptedEndpoint, startScriptedEndpoint, writes } from '../support/scripted-endpoint.js';
import { forward, SessionBench, SILENT, STORY, truth } from '../support/session-bench.js';
import { quiet, type WireClient } from '../support/wire-client.js';

/** Token 1 is "A". */
const LETTERS: Tokenizer = {
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0) - 64),
  decode: (tokens) => String.fromCharCode(...tokens.map((token) => token + 64)),
};

/** The hash model is never sure: the second judged row is one too many, and a passage is as long as it gets. */
const DOUBTFUL: HandOffPolicy = { span: 2, handsOver: (rows) => rows.length === 2, handsBack: () => false };

/** The server's half of a passage, message by message; the endpoint is real. */
describe('cloud session with a larger model', () => {
  let endpoint: ScriptedEndpoint;
  let bench: SessionBench;
  let client: WireClient;
  let largerModel: LargerModel;

  beforeAll(async () => {
    endpoint = await startScriptedEndpoint(writes());
  });
  afterAll(() => endpoint.close());

  beforeEach(async () => {
    endpoint.script = writes('ABCDEFGHIJ');
    largerModel = new LargerModel({
      endpoint: { url: `http://127.0.0.1:${endpoint.port}/v1`, model: 'big', key: undefined },
      policy: DOUBTFUL,
      tokenizer: LETTERS,
      eosTokenIds: [0],
      tokensMax: 20,
      timeoutMs: 5_000,
      clock: systemClock,
      log: SILENT,
    });
    bench = new SessionBench({ largerModel });
    ({ client } = await bench.open({ largerModel: 'allow' }));
  });

  /** Rows 0 to 7 with drafts behind 4, 5 and 6: row 5 is handed over. */
  function ask(epoch: number): void {
    const wrong = (truth(6) + 1) % 50;
    const asked = { want: [4, 5, 6], drafts: [truth(4), truth(5), wrong], tokens: STORY.slice(0, 8) };
    forward(client, epoch, 0, 8, asked);
  }

  it('says its name, answers in two parts, and is deaf afterwards', async () => {
    expect(client.last('session-opened')).toMatchObject({ largerModel: 'big' });
    ask(1);
    const passage = await client.take('passage');
    expect(client.all('verdict')).toEqual([
      // Row 5 has no answer yet: a client that acknowledged it would not ask for it again.
      expect.objectContaining({ rows: [4], tokens: [truth(4)], mismatch: false, length: 5, handedOver: true }),
    ]);
    expect(passage).toEqual({ epoch: 1, row: 5, tokens: [1, 2, 3, 4, 5, 6, 7, 8], model: 'big' });
    const steps = bench.engine.steps.length;
    forward(client, 1, 8, 9, { want: [8], tokens: STORY.slice(8, 9) });
    await quiet();
    expect(bench.engine.steps).toHaveLength(steps);
  });

  it('asked for the same row again, on another connection, it sends the same passage', async () => {
    ask(1);
    const passage = await client.take('passage');
    const again = await bench.open({ largerModel: 'allow', epoch: 2 });
    client = again.client;
    ask(3);
    expect(await client.take('passage')).toEqual({ ...passage, epoch: 3 });
    expect(client.all('verdict').map(({ rows }) => rows)).toEqual([[4]]);
  });

  it('gives the rest of the verdict when the larger model does not write', async () => {
    endpoint.script = FAULTS['refused: an error of the server']!;
    ask(1);
    const first = await client.take('verdict');
    const rest = await client.take('verdict');
    expect([first.rows, first.handedOver, first.mismatch]).toEqual([[4], true, false]);
    expect(rest).toMatchObject({ rows: [5, 6], tokens: [truth(5), truth(6)], mismatch: true, length: 7 });
    expect(rest).not.toHaveProperty('handedOver');
    // Told already with the first part.
    expect(rest.engineMs + rest.queueMs).toBe(0);
  });

  it('goes on behind the row that was judged, although its rows were dropped while the larger model was asked', async () => {
    endpoint.script = FAULTS['refused: an error of the server']!;
    const crowded = new SessionBench({ largerModel, contextBudgetBytes: 100 });
    const { client: asks } = await crowded.open({ context: 'tokens', largerModel: 'allow' });
    const ids = (from: number, to: number) => encodeTokenIds(STORY.slice(from, to), 50);
    const asked = { epoch: 1, from: 0, count: 8, want: [6, 7], drafts: [truth(6)], extend: 3 };
    asks.send('context-forward', asked, ids(0, 8));
    const { client: other } = await crowded.open({}, 'session-of-tests-2');
    forward(other, 1, 0, 12);
    expect(await asks.take('context-rewind')).toMatchObject({ epoch: 1, length: 0 });
  });

  it('a newer epoch while it writes: no answer to the older one', async () => {
    endpoint.script = FAULTS['slow: headers and nothing more']!;
    ask(1);
    await client.take('verdict');
    forward(client, 2, 7, 7, { tokens: [] });
    expect(await client.take('credit')).toMatchObject({ epoch: 2 });
    expect([...client.all('verdict'), ...client.all('passage')]).toEqual([]);
    bench.host.dispose();
  });

  it.each([
    ['rows without their tokens', { want: [4] }, /0 tokens for 8 rows/],
    ['a token that is none', { tokens: Array(8).fill(77) }, /token id 77, the vocabulary has 50/],
  ])('refuses %s', async (_, asked, message) => {
    forward(client, 1, 0, 8, asked);
    expect(await client.take('error')).toMatchObject({
      code: 'PROTOCOL_VIOLATION',
      message: expect.stringMatching(message),
    });
  });

  it('without consent it names no model, and takes no tokens', async () => {
    const other = await bench.open({}, 'session-of-tests-2');
    expect(other.client.last('session-opened')).not.toHaveProperty('largerModel');
    forward(other.client, 1, 0, 2, { tokens: [1, 2] });
    expect(await other.client.take('error')).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });
});
