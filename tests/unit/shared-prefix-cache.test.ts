import { limits, type Messages, PREFIX_BLOCK_TOKENS, prefixBlocks } from '@tandem/shared';
import { beforeAll, describe, expect, it } from 'vitest';
import { choiceOf, packRows, rowsOf, statesOf } from '../property/hash-model.js';
import { forward, SessionBench, STORY, truth } from '../support/session-bench.js';
import { quiet, type WireClient } from '../support/wire-client.js';

/** Tokens that sessions of one tenant have in common, and what each has behind them. */
const BLOCKS = 2;
const SHARED = BLOCKS * PREFIX_BLOCK_TOKENS;
const OTHER = [...STORY.slice(0, SHARED), ...Array.from({ length: 40 }, (_, index) => (index * 3 + 1) % 50)];
const OTHER_ROWS = rowsOf(OTHER);
const OTHER_STATES = statesOf(OTHER_ROWS);

describe('shared prefix', () => {
  let hashes: string[];

  beforeAll(async () => {
    hashes = await prefixBlocks(STORY.slice(0, SHARED));
  });

  const name = (id: number) => `session-of-tests-${id}`;
  const declared = (prefix = hashes) => ({ capacity: 300, prefix });

  /** The first session of a tenant: sends everything, and says what it is. */
  async function donor(bench: SessionBench, id = 1, owner = 'me') {
    const { client, pipe } = await bench.open(declared(), name(id), owner);
    forward(client, 1, 0, 140, { want: [139], prefix: BLOCKS });
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([truth(139)]);
    return { client, pipe };
  }

  function forwardOther(
    client: WireClient,
    from: number,
    to: number,
    asked: Partial<Messages['context-forward']> = {},
  ) {
    const control = { epoch: 1, from, count: to - from, want: [to - 1], drafts: [], ...asked };
    client.send('context-forward', control, packRows(OTHER_ROWS.slice(from, to)));
  }

  async function expectOther(client: WireClient, from: number) {
    forwardOther(client, from, 150);
    await quiet();
    expect(client.last('verdict')?.tokens).toEqual([choiceOf(OTHER_STATES[149]!)]);
  }

  it('is sent once and run once: the next session begins behind it', async () => {
    const bench = new SessionBench();
    await donor(bench);
    const steps = bench.engine.steps.length;
    const second = await bench.open(declared(), name(2));
    expect(second.client.last('session-opened')).toMatchObject({ length: SHARED, prefix: SHARED });
    await expectOther(second.client, SHARED);
    expect(bench.engine.copies).toEqual([{ source: expect.stringMatching(/^session-1/), length: SHARED }]);
    expect(bench.engine.steps.slice(steps).map(({ from }) => from)).toEqual([SHARED]);
    expect(bench.counted).toMatchObject({
      'tandem_prefix_lookups_total miss': 1,
      'tandem_prefix_lookups_total hit': 1,
      tandem_prefix_rows_total: SHARED,
    });
  });

  it('helps as far as it goes: one block of two, or all of the rows while the KV is gone', async () => {
    const bench = new SessionBench();
    await donor(bench);
    const [first] = hashes;
    const partly = await bench.open(declared([first!, 'another-text-from-here'.slice(0, 22)]), name(2));
    expect(partly.client.last('session-opened')?.prefix).toBe(PREFIX_BLOCK_TOKENS);
    bench.source.kill();
    const later = await bench.open(declared(), name(3));
    expect(later.client.last('session-opened')?.prefix).toBe(SHARED);
    await expectOther(later.client, SHARED);
    expect(bench.engine.copies).toEqual([]);
  });

  it("is nobody else's: another tenant, codec or kind of context finds nothing", async () => {
    const bench = new SessionBench();
    await donor(bench);
    const theirs = await bench.open(declared(), name(2), 'somebody else');
    expect(theirs.client.last('session-opened')).toEqual({ epoch: 0, length: 0, forwardsInFlight: 2 });
    const coded = await bench.open({ ...declared(), codec: 'f16' }, name(3));
    expect(coded.client.last('session-opened')?.prefix).toBeUndefined();
    const tokens = await bench.open({ ...declared(), context: 'tokens' }, name(4));
    expect(tokens.client.last('session-opened')?.prefix).toBeUndefined();
    // The control: with the right credential it is there.
    expect((await bench.open(declared(), name(5))).client.last('session-opened')?.prefix).toBe(SHARED);
  });

  it('is offered only as long as it is there: not after its rows were replaced', async () => {
    const bench = new SessionBench();
    const { client } = await donor(bench);
    forwardOther(client, 60, 140, { epoch: 2 });
    await quiet();
    const next = await bench.open(declared(), name(2));
    expect(next.client.last('session-opened')?.prefix).toBeUndefined();
  });

  it.each(['long before', 'right before', 'right after'])(
    'is right when its donor begins another text %s the copy is asked for',
    async (order) => {
      const bench = new SessionBench();
      const { client } = await donor(bench);
      const second = await bench.open(declared(), name(2));
      const third = await bench.open({ capacity: 300 }, name(3));
      bench.engine.hold();
      // A step of a third keeps the engine busy; the donor's new text and the copy wait behind it.
      forward(third.client, 1, 0, 4);
      await quiet();
      const ask = () => forwardOther(second.client, SHARED, 150);
      const begin = () => {
        const control = { epoch: 2, from: 0, count: 3, want: [], drafts: [] };
        client.send('context-forward', control, packRows(OTHER_ROWS.slice(130, 133)));
      };
      for (const act of order === 'right after' ? [ask, begin] : [begin, ask]) {
        act();
        if (order === 'long before') bench.engine.release();
        await quiet();
      }
      bench.engine.release();
      await quiet();
      expect(second.client.last('verdict')?.tokens).toEqual([choiceOf(OTHER_STATES[149]!)]);
    },
  );

  it('outlives its session, once, until the memory is needed', async () => {
    const bench = new SessionBench({ contextBudgetBytes: 4_000 });
    const { client } = await donor(bench);
    client.send('session-close', {});
    await quiet();
    expect(bench.host.sessions).toBe(0);
    expect(bench.cache.bytes.rows).toBe(SHARED * 4);
    const second = await bench.open(declared(), name(2));
    expect(second.client.last('session-opened')?.prefix).toBe(SHARED);
    await expectOther(second.client, SHARED);
    forwardOther(second.client, SHARED - 1, 150, { prefix: BLOCKS, epoch: 2 });
    await quiet();
    second.client.send('session-close', {});
    await quiet();
    expect(bench.cache.bytes.rows).toBe(SHARED * 4);
    for (let id = 3; id < 8; id++) {
      const { client: large } = await bench.open({ capacity: 300 }, name(id));
      forward(large, 1, 0, 200);
      await quiet();
    }
    expect(bench.cache.bytes.rows).toBeLessThanOrEqual(4_000);
    expect((await bench.open(declared(), name(9))).client.last('session-opened')?.prefix).toBeUndefined();
  });

  it('is never published beyond what was declared and has run', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open(declared(hashes.slice(0, 1)), name(1));
    forward(client, 1, 0, 140, { want: [139], prefix: limits.PREFIX_BLOCKS_MAX });
    await quiet();
    const next = await bench.open(declared(), name(2));
    expect(next.client.last('session-opened')?.prefix).toBe(PREFIX_BLOCK_TOKENS);
  });
});

describe('hashes of token blocks', () => {
  it('stand for everything up to their end, and for whole blocks only', async () => {
    const tokens = STORY.slice(0, 200);
    const hashes = await prefixBlocks(tokens);
    expect(hashes).toHaveLength(3);
    expect(new Set(hashes).size).toBe(3);
    expect(await prefixBlocks(tokens.slice(0, 64))).toEqual(hashes.slice(0, 1));
    const changed = await prefixBlocks([tokens[0]! + 1, ...tokens.slice(1)]);
    expect(changed.filter((hash) => hashes.includes(hash))).toEqual([]);
    // Computed by hand with another tool: sixteen zeros, then the tokens.
    expect(hashes[0]).toBe(await byHand(tokens.slice(0, 64)));
  });
});

async function byHand(tokens: readonly number[]): Promise<string> {
  const { createHash } = await import('node:crypto');
  const bytes = Buffer.concat([Buffer.alloc(16), Buffer.from(Uint32Array.from(tokens).buffer)]);
  return createHash('sha256').update(bytes).digest().subarray(0, 16).toString('base64url');
}
