import { readFileSync } from 'node:fs';
import { CircuitBreaker, LargerModel, rollingEntropyHandOff, wholeWordsLength } from '@tandem/cloud/testing';
import { GREEDY, limits, systemClock } from '@tandem/shared';
import { loadTokenizer } from '@tandem/shared/tokenizer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../support/manual-clock.js';
import { event, FAULTS, type ScriptedEndpoint, startScriptedEndpoint, writes } from '../support/scripted-endpoint.js';
import { TALES } from '../support/tales.js';

const tokenizer = loadTokenizer(readFileSync(`${TALES}/tokenizer.json`), null);
const NEVER = new AbortController().signal;
const CONTEXT = tokenizer.encode('Once upon a time, there was a');

describe('hand-off policy: rolling entropy', () => {
  const policy = rollingEntropyHandOff({ window: 4, patience: 2, ceiling: 2, floor: 1 });
  it.each([
    ['no rows', [], false],
    ['too few rows', [9, 9, 9, 9], false],
    ['high for the first time', [0, 2, 2, 2, 2], false],
    ['high for the second time', [2, 2, 2, 2, 2], true],
    ['one sure row among unsure ones', [3, 3, 0, 3, 3], true],
    ['falling', [4, 4, 2, 1, 0], false],
    ['high long ago', [9, 9, 9, 9, 9, 1, 1, 1, 1, 1], false],
  ])('%s', (_, entropies, handsOver) => {
    expect(policy.handsOver(entropies)).toBe(handsOver);
    // What lies further back than `span` plays no part.
    expect(policy.handsOver(entropies.slice(-policy.span))).toBe(handsOver);
  });

  it.each([
    ['before a whole window of the passage', [0, 0, 0], false],
    ['at the floor', [9, 9, 1, 1, 1, 1], true],
    ['above it', [0, 0, 1, 1, 1, 1.1], false],
  ])('back: %s', (_, entropies, handsBack) => {
    expect(policy.handsBack(entropies)).toBe(handsBack);
  });
});

it('circuit breaker: opens after failures in a row, lets one try decide after the cool-down', async () => {
  const clock = new ManualClock();
  const breaker = new CircuitBreaker({ failuresMax: 2, coolDownMs: 100, clock });
  breaker.failed();
  breaker.succeeded();
  breaker.failed();
  expect(breaker.letsThrough).toBe(true);
  breaker.failed();
  expect(breaker.letsThrough).toBe(false);
  await clock.advance(99);
  expect(breaker.letsThrough).toBe(false);
  await clock.advance(1);
  expect(breaker.letsThrough).toBe(true);
  breaker.failed();
  expect(breaker.letsThrough).toBe(false);
  await clock.advance(100);
  breaker.succeeded();
  breaker.failed();
  expect(breaker.letsThrough).toBe(true);
});

it.each([
  ['half a word', 'hel', 0],
  ['a word that may go on', ' hello', 0],
  ['a word and half a word', ' hello wor', 6],
  ['a word and a space', 'hello ', 5],
  ['lines', 'end.\n\nOnce up', 10],
  ['a word without end', 'x'.repeat(limits.PASSAGE_WORD_CHARS_MAX + 1), limits.PASSAGE_WORD_CHARS_MAX + 1],
  ['half of a character', `${'x'.repeat(limits.PASSAGE_WORD_CHARS_MAX)}\ud83d`, limits.PASSAGE_WORD_CHARS_MAX],
])('whole words: %s', (_, text, length) => {
  expect(wholeWordsLength(text)).toBe(length);
});

describe('a passage over real HTTP', () => {
  let endpoint: ScriptedEndpoint;
  const counted: string[] = [];
  const logged: { fields: object; text: string }[] = [];
  beforeAll(async () => {
    endpoint = await startScriptedEndpoint(writes());
  });
  afterAll(() => endpoint.close());

  function largerModel(change: { tokensMax?: number; timeoutMs?: number; port?: number } = {}): LargerModel {
    const note = (fields: object, text: string) => void logged.push({ fields, text });
    const { port = endpoint.port, tokensMax = 40, timeoutMs = 2_000 } = change;
    return new LargerModel({
      endpoint: { url: `http://127.0.0.1:${port}/v1/`, model: 'big', key: 'canary-key' },
      policy: rollingEntropyHandOff({ window: 1, patience: 1, ceiling: 2, floor: 1 }),
      tokenizer,
      eosTokenIds: [0],
      tokensMax,
      timeoutMs,
      clock: systemClock,
      log: { debug: note, info: note, warn: note, error: note },
      metrics: { count: (name, _amount, label) => void counted.push(`${name} ${label}`), observe() {} },
    });
  }

  async function takeAll(model: LargerModel): Promise<number[][]> {
    const passage = model.begin(CONTEXT, GREEDY)!;
    const pieces: number[][] = [];
    for (let piece = await passage.take(8, NEVER); piece.length > 0; piece = await passage.take(8, NEVER)) {
      pieces.push(piece);
    }
    expect(passage.isOver).toBe(true);
    return pieces;
  }

  it('asks as OpenAI’s clients do, and sends extensions only where they mean something', async () => {
    endpoint.script = writes(' dog');
    endpoint.asked.length = 0;
    await takeAll(largerModel());
    const passage = largerModel().begin(CONTEXT, { temperature: 0.5, topK: 9, topP: 0.9, minP: 0.1, seed: 7 });
    await passage!.take(1, NEVER);
    const common = { model: 'big', prompt: 'Once upon a time, there was a', max_tokens: 40, stream: true };
    expect(endpoint.asked.map((body) => JSON.parse(body) as object)).toEqual([
      { ...common, temperature: 0, top_p: 1, seed: 0 },
      { ...common, temperature: 0.5, top_p: 0.9, seed: 7, top_k: 9, min_p: 0.1 },
    ]);
  });

  it('however the text is cut into events, the tokens are the same, in pieces of eight', async () => {
    const text = ' little dog. He said, "Hello, naïve 🐸!"\n\nThen the dog went home — and slept for a very long time';
    const whole = tokenizer.encode(`Once upon a time, there was a${text}`).slice(CONTEXT.length);
    for (const size of [1, 2, 5, 1_000]) {
      endpoint.script = writes(
        ...Array.from({ length: Math.ceil([...text].length / size) }, (_, index) =>
          [...text].slice(index * size, (index + 1) * size).join(''),
        ),
      );
      const pieces = await takeAll(largerModel({ tokensMax: 200 }));
      expect(pieces.flat()).toEqual(whole);
      expect(pieces.slice(0, -1).every((piece) => piece.length === 8)).toBe(true);
    }
  });

  it('ends at its longest, and asks for no more', async () => {
    endpoint.script = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(event(' and then he went on'.repeat(50)));
    };
    expect((await takeAll(largerModel({ tokensMax: 20 }))).flat()).toHaveLength(20);
  });

  it('puts the end of the text where the larger model ended it', async () => {
    endpoint.script = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.end(`${event(' dog.')}${event('', 'stop')}data: [DONE]\n\n`);
    };
    counted.length = 0;
    const tokens = (await takeAll(largerModel())).flat();
    expect(tokens).toEqual([...tokenizer.encode(' dog.'), 0]);
    expect(counted).toEqual(['tandem_passages_total finished']);
  });

  it('an end of the text that comes late is still given out', async () => {
    let end = () => {};
    endpoint.script = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(event(' dog'));
      end = () => response.end(`${event('', 'stop')}data: [DONE]\n\n`);
    };
    const passage = largerModel({ timeoutMs: 1_000 }).begin(CONTEXT, GREEDY)!;
    expect(tokenizer.decode(await passage.take(8, NEVER))).toBe(' dog');
    end();
    for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(passage.isOver).toBe(false);
    expect(await passage.take(8, NEVER)).toEqual([0]);
    expect(passage.isOver).toBe(true);
  });

  it.each(Object.entries(FAULTS))('%s: no tokens, a line in the log without any text', async (name, script) => {
    endpoint.script = script;
    logged.length = 0;
    counted.length = 0;
    const model = largerModel({ timeoutMs: name.startsWith('slow') ? 150 : 5_000 });
    expect(await takeAll(model)).toEqual([]);
    expect(counted).toEqual([`tandem_passages_total ${name.split(':')[0]}`]);
    expect(logged).toEqual([
      { fields: expect.objectContaining({ reason: name.split(':')[0] }), text: expect.stringMatching(/failed/) },
    ]);
    expect(JSON.stringify(logged)).not.toMatch(/canary|Once upon/);
  });

  it('unreachable: nobody listens; after two failures it is left alone', async () => {
    const gone = await startScriptedEndpoint(writes());
    await gone.close();
    logged.length = 0;
    const model = largerModel({ port: gone.port });
    expect(model.isAvailable).toBe(true);
    for (let round = 0; round < limits.LARGER_MODEL_FAILURES_MAX; round++) expect(await takeAll(model)).toEqual([]);
    expect(model.isAvailable).toBe(false);
    expect(model.state).toEqual({ writing: 0, isLeftAlone: true });
    expect(logged.at(-1)?.fields).toMatchObject({ reason: 'unreachable', isLeftAlone: true });
  });

  it('what came before it broke off is kept, then it is over', async () => {
    endpoint.script = (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(event(' little dog who'), () => response.destroy());
    };
    const pieces = await takeAll(largerModel());
    expect(tokenizer.decode(pieces.flat())).toBe(' little dog who');
  });

  it('an aborted wait takes nothing, a closed passage lets the endpoint go', async () => {
    let isLeft = false;
    endpoint.script = (response) => {
      response.on('close', () => {
        isLeft = true;
      });
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(event(' little dog who lived'));
    };
    const passage = largerModel().begin(CONTEXT, GREEDY)!;
    const leaving = new AbortController();
    const waiting = passage.take(8, leaving.signal);
    leaving.abort();
    expect(await waiting).toEqual([]);
    expect(tokenizer.decode(await passage.take(2, NEVER))).toBe(' little dog');
    passage.close();
    expect(passage.isOver).toBe(true);
    while (!isLeft) await new Promise((resolve) => setImmediate(resolve));
  });

  it('goes on from whole characters only', () => {
    const frog = tokenizer.encode(' 🐸');
    expect(frog.length).toBeGreaterThan(1);
    expect(largerModel().begin([...CONTEXT, ...frog.slice(0, -1)], GREEDY)).toBeUndefined();
  });
});
