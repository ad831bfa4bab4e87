import { describe, expect, it } from 'vitest';
import { choiceOf, rowsOf, statesOf } from '../property/hash-model.js';
import { SessionBench, STORY } from '../support/session-bench.js';
import { quiet, type WireClient } from '../support/wire-client.js';

describe('cloud session of token ids', () => {
  const PROMPT = STORY.slice(0, 4);
  const ids = (tokens: readonly number[]) => new Uint8Array(Uint16Array.from(tokens).buffer);

  /** The story that the model tells on its own. */
  function continuation(count: number): number[] {
    const tokens = [...PROMPT];
    for (let step = 0; step < count; step++) tokens.push(choiceOf(statesOf(rowsOf(tokens)).at(-1)!));
    return tokens.slice(PROMPT.length);
  }

  function ask(client: WireClient, epoch: number, extend: number): void {
    const control = { epoch, from: 0, count: 4, want: [3], drafts: [], extend };
    client.send('context-forward', control, ids(PROMPT));
  }

  it('runs all stages and goes on alone, one verdict a token', async () => {
    const bench = new SessionBench();
    const { client } = await bench.open({ context: 'tokens' });
    ask(client, 1, 3);
    await quiet();
    const verdicts = client.all('verdict');
    expect(verdicts.flatMap(({ tokens }) => tokens)).toEqual(continuation(4));
    expect(verdicts.map(({ rows }) => rows[0])).toEqual([3, 4, 5, 6]);
    expect(verdicts.at(-1)?.length).toBe(7);
    expect(bench.engine.steps[0]?.depth).toBe(2);
  });

  it.each([
    ['the end of the text', { eosTokenIds: [continuation(3)[2]!] }, {}, 3],
    ['the capacity', {}, { capacity: 6 }, 3],
  ])('stops at %s', async (_, options, declaration, count) => {
    const bench = new SessionBench(options);
    const { client } = await bench.open({ context: 'tokens', ...declaration });
    ask(client, 1, 20);
    await quiet();
    expect(client.all('verdict').flatMap(({ tokens }) => tokens)).toEqual(continuation(count));
  });

  it.each([
    ['a newer epoch', 2],
    ['a newer forward', 1],
  ])('stops at %s', async (_, epoch) => {
    const bench = new SessionBench();
    const { client } = await bench.open({ context: 'tokens' });
    bench.engine.hold();
    ask(client, 1, 50);
    await quiet();
    const before = bench.engine.steps.length;
    bench.engine.release();
    // One turn: the first step ends, the extension's begins and is held.
    bench.engine.hold();
    await quiet();
    expect(bench.engine.steps.length).toBe(before + 1);
    client.send('context-forward', { epoch, from: 2, count: 0, want: [], drafts: [] });
    await quiet();
    bench.engine.release();
    await quiet();
    expect(client.all('verdict')).toHaveLength(1);
    expect(client.last('credit')).toEqual({ epoch, length: 2 });
    // Truncating is no work for the engine.
    expect(bench.engine.steps).toHaveLength(before + 1);
  });

  it('pauses while nobody is connected', async () => {
    const bench = new SessionBench();
    const { client, pipe } = await bench.open({ context: 'tokens' });
    bench.engine.hold();
    ask(client, 1, 50);
    await quiet();
    pipe.cut();
    await quiet();
    bench.engine.release();
    await quiet();
    expect(bench.engine.steps).toHaveLength(1);
    const again = await bench.open({ context: 'tokens', epoch: 2 });
    expect(again.client.last('session-opened')?.length).toBe(4);
  });
});
