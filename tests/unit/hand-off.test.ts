import { HandOff, LargerModel, NO_TRACING, rollingEntropyHandOff } from '@tandem/cloud/testing';
import { type Choice, GREEDY, limits, NO_DRAFT, type SamplingSettings, systemClock } from '@tandem/shared';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ScriptedEndpoint, startScriptedEndpoint, writes } from '../support/scripted-endpoint.js';
import { SILENT } from '../support/session-bench.js';

/** Token 65 is "A": a text is its tokens. */
const LETTERS: Tokenizer = {
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0)),
  decode: (tokens) => String.fromCharCode(...tokens),
};
const NEVER = new AbortController().signal;
const ids = (text: string) => LETTERS.encode(text);

/** Hands over at the second row in a row with an entropy of 2, takes back after two of 0. */
const POLICY = rollingEntropyHandOff({ window: 2, patience: 1, ceiling: 2, floor: 0.5 });

describe('hand-off', () => {
  let endpoint: ScriptedEndpoint;
  beforeAll(async () => {
    endpoint = await startScriptedEndpoint(writes('one two three four five six seven eight nine ten '));
  });
  afterAll(() => endpoint.close());

  function build(capacity = 100): HandOff {
    endpoint.asked.length = 0;
    const model = new LargerModel({
      endpoint: { url: `http://127.0.0.1:${endpoint.port}/v1`, model: 'big', key: undefined },
      policy: POLICY,
      tokenizer: LETTERS,
      eosTokenIds: [0],
      tokensMax: 24,
      timeoutMs: 5_000,
      clock: systemClock,
      log: SILENT,
    });
    return new HandOff(model, capacity);
  }

  interface Asked {
    from: number;
    text: string;
    want: number[];
    entropy: number;
    sampling?: SamplingSettings;
  }

  /** One forward whose rows all have the same entropy; gives the rows that were run for it, and where it is handed over. */
  function forward(handOff: HandOff, { from, text, want, entropy, sampling = GREEDY }: Asked) {
    const asked = { origin: 'client' as const, from, input: undefined, want, drafts: [], tokens: ids(text), sampling };
    const span = NO_TRACING.begin('tandem.forward');
    const run = handOff.read({ ...asked, extend: 0, prefixBlocks: 0, cancel: new AbortController(), span });
    const evidence = { top: 0, second: 0, maxProbability: 0, margin: 0, entropy };
    const choices: Choice[] = run.want.map((row) => ({ row, token: 0, second: 0, evidence, rowSimilarity: 0 }));
    return { run, row: handOff.judge(choices, want, sampling) };
  }

  /** A prompt of four letters, and two unsure rows behind it. */
  async function handedOver(handOff: HandOff): Promise<number[]> {
    expect(forward(handOff, { from: 0, text: 'Once', want: [3], entropy: 2 }).row).toBeUndefined();
    expect(forward(handOff, { from: 4, text: '.', want: [4], entropy: 2 }).row).toBe(4);
    return handOff.write(4, NEVER);
  }

  it('hands over with the text so far, and gives eight tokens at a time', async () => {
    const handOff = build();
    expect(LETTERS.decode(await handedOver(handOff))).toBe('one two ');
    expect(JSON.parse(endpoint.asked[0]!)).toMatchObject({ prompt: 'Once.', max_tokens: 24 });
    expect(forward(handOff, { from: 5, text: 'one two ', want: [12], entropy: 2 })).toMatchObject({
      row: 12,
      run: { want: [5, 6, 7, 8, 9, 10, 11, 12], drafts: Array(8).fill(NO_DRAFT) },
    });
    expect(LETTERS.decode(await handOff.write(12, NEVER))).toBe('three fo');
    expect(endpoint.asked).toHaveLength(1);
  });

  it('tells a part that was lost again, whatever the device has guessed in its place', async () => {
    const handOff = build();
    await handedOver(handOff);
    forward(handOff, { from: 5, text: 'one two ', want: [12], entropy: 2 });
    const lost = await handOff.write(12, NEVER);
    const again = forward(handOff, { from: 5, text: 'one two xyz', want: [12, 13, 14, 15], entropy: 2 });
    expect(again.row).toBe(12);
    expect(await handOff.write(12, NEVER)).toEqual(lost);
    expect(endpoint.asked).toHaveLength(1);
  });

  it('goes back when the small model is sure of what it reads, and is not doubted at once', async () => {
    const handOff = build();
    await handedOver(handOff);
    expect(forward(handOff, { from: 5, text: 'one two ', want: [12], entropy: 0 }).row).toBeUndefined();
    expect(forward(handOff, { from: 13, text: 'x', want: [13], entropy: 9 }).row).toBeUndefined();
    expect(forward(handOff, { from: 14, text: 'x', want: [14], entropy: 9 }).row).toBe(14);
    handOff.close();
  });

  it('ends where guesses of the device became final elsewhere, although they come again unchanged', async () => {
    const handOff = build();
    expect(forward(handOff, { from: 0, text: 'Once', want: [3], entropy: 2 }).row).toBeUndefined();
    expect(forward(handOff, { from: 4, text: '.XY', want: [4, 5, 6], entropy: 2 }).row).toBe(4);
    await handOff.write(4, NEVER);
    expect(forward(handOff, { from: 4, text: '.XY', want: [6], entropy: 0 }).row).toBeUndefined();
  });

  it('counts from behind the passage, also when the row there was sent and never judged', async () => {
    const handOff = build();
    await handedOver(handOff);
    expect(forward(handOff, { from: 5, text: 'one two ', want: [12], entropy: 0 }).row).toBeUndefined();
    const sent = { from: 13, tokens: ids('x'), want: [13], drafts: [], sampling: GREEDY };
    const span = NO_TRACING.begin('tandem.forward');
    handOff.read({
      ...sent,
      origin: 'client',
      input: undefined,
      extend: 0,
      prefixBlocks: 0,
      cancel: new AbortController(),
      span,
    });
    // Two rows of doubt: 13 and 14. Row 12 is the passage's own last one.
    expect(forward(handOff, { from: 5, text: 'one two xy', want: [12, 13, 14], entropy: 2 }).row).toBe(14);
    expect(LETTERS.decode(await handOff.write(14, NEVER))).toBe('one two ');
  });

  it('gives the same tokens again to who asks again within a passage, on whatever connection', async () => {
    const handOff = build();
    const first = await handedOver(handOff);
    expect(forward(handOff, { from: 3, text: 'e.', want: [4], entropy: 0 }).row).toBe(4);
    expect(await handOff.write(4, NEVER)).toEqual(first);
    expect(forward(handOff, { from: 4, text: '.one', want: [7], entropy: 0 }).row).toBe(7);
    expect(await handOff.write(7, NEVER)).toEqual(first.slice(3));
    expect(endpoint.asked).toHaveLength(1);
  });

  it('rows in front of it that are asked for again do not end it', async () => {
    const handOff = build();
    const first = await handedOver(handOff);
    const again = forward(handOff, { from: 0, text: 'Once.', want: [3, 4], entropy: 0 });
    expect(again.row).toBe(4);
    expect(await handOff.write(4, NEVER)).toEqual(first);
  });

  it.each([
    ['another text', { from: 5, text: 'one tWo ', want: [12], entropy: 1 }],
    ['another prompt', { from: 0, text: 'Twic.one two ', want: [12], entropy: 1 }],
    ['a later row, since an exit was sure', { from: 5, text: 'one two and', want: [15], entropy: 0 }],
    ['another seed', { from: 4, text: '.', want: [4], entropy: 0, sampling: { ...GREEDY, seed: 1 } }],
  ])('%s ends it', async (_, asked) => {
    const handOff = build();
    await handedOver(handOff);
    forward(handOff, asked);
    expect(handOff.isNew).toBe(false);
    expect(await handOff.write(asked.want.at(-1)!, NEVER)).toEqual([]);
  });

  it('an aborted wait keeps what is written for the next one', async () => {
    const handOff = build();
    forward(handOff, { from: 0, text: 'Once', want: [3], entropy: 2 });
    forward(handOff, { from: 4, text: '.', want: [4], entropy: 2 });
    expect(handOff.isNew).toBe(true);
    expect(await handOff.write(4, AbortSignal.abort())).toEqual([]);
    expect(forward(handOff, { from: 4, text: '.', want: [4], entropy: 2 }).row).toBe(4);
    expect(LETTERS.decode(await handOff.write(4, NEVER))).toBe('one two ');
    expect(endpoint.asked).toHaveLength(1);
  });

  it('rows that nobody wants are judged, too, but not those of the prompt', () => {
    const handOff = build();
    expect(forward(handOff, { from: 0, text: 'Once', want: [3], entropy: 0 }).run.want).toEqual([3]);
    expect(forward(handOff, { from: 4, text: 'abc', want: [], entropy: 0 }).run.want).toEqual([4, 5, 6]);
    expect(forward(handOff, { from: 7, text: 'de', want: [8], entropy: 0 }).run.want).toEqual([7, 8]);
    // Known already: the same rows again cost no logits.
    expect(forward(handOff, { from: 4, text: 'abcde', want: [8], entropy: 0 }).run.want).toEqual([8]);
    const many = 'x'.repeat(200);
    expect(forward(build(500), { from: 0, text: many, want: [0, 199], entropy: 0 }).run.want).toHaveLength(
      limits.FORWARD_WANTS_MAX + 1,
    );
  });

  it('never writes beyond the capacity', async () => {
    const handOff = build(8);
    expect(LETTERS.decode(await handedOver(handOff))).toBe('one');
    expect(forward(handOff, { from: 5, text: 'one', want: [7], entropy: 2 }).row).toBeUndefined();
  });
});
