import { startServer } from '@tandem/cloud';
import { limits } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CompletionAnswer, complete, post, streamed } from '../support/completion-client.js';
import { type Bench, startBench, tellUnsplit } from '../support/exactness.js';
import { ask } from '../support/raw-http.js';
import { OPENINGS } from '../support/tales.js';

/** `/v1/completions` as a client of OpenAI meets it, on the embedded model. The oracle is the unsplit run. */
describe('completions', () => {
  let bench: Bench;
  let port: number;
  let model: string;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    bench = await startBench('f32');
    const options = { model: bench.bundle, port: 0, format: 'f32', threads: 1, logLevel: 'silent' } as const;
    const server = await startServer({ ...options, completions: true });
    ({ port, model } = server);
    stop = () => server.close();
  });
  afterAll(async () => {
    await stop();
    await bench.close();
  });

  const opening = OPENINGS[2]!;
  const asked = (change: object = {}) => ({ model, prompt: opening, max_tokens: 24, temperature: 0, ...change });

  /** What the whole model writes in one process, as text. */
  async function unsplit(temperature: number, seed: number, maxOutputTokens = 24): Promise<string> {
    const tokens = await tellUnsplit(bench, { opening, temperature, seed, maxOutputTokens }, 'f32');
    return bench.model.tokenizer.decode(tokens);
  }

  it.each([
    [0, 0],
    [0.8, 7],
  ])('the text is that of the unsplit model, temperature %d, seed %d', async (temperature, seed) => {
    const { status, body } = await complete(port, asked({ temperature, seed }));
    expect(status).toBe(200);
    expect(body.choices[0]).toMatchObject({ text: await unsplit(temperature, seed), finish_reason: 'length' });
    expect(body).toMatchObject({ object: 'text_completion', model });
    const prompt_tokens = bench.model.tokenizer.encode(opening).length;
    expect(body.usage).toEqual({ prompt_tokens, completion_tokens: 24, total_tokens: prompt_tokens + 24 });
  });

  it('a stream is the same text in pieces, then figures, then [DONE]', async () => {
    const events = await streamed(port, asked({ stream_options: { include_usage: true } }));
    expect(events.at(-1)).toBe('[DONE]');
    const parts = events.slice(0, -1) as CompletionAnswer['body'][];
    expect(parts.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 24 } });
    const texts = parts.slice(0, -1).map(({ choices }) => choices[0]!);
    expect(texts.length).toBeGreaterThan(10);
    expect(texts.map(({ text }) => text).join('')).toBe(await unsplit(0, 0));
    expect(texts.map(({ finish_reason }) => finish_reason)).toEqual([...texts.slice(1).map(() => null), 'length']);
    expect(new Set(parts.map(({ id }) => id)).size).toBe(1);
  });

  it('ends before a stop sequence', async () => {
    const whole = await unsplit(0, 0);
    const word = whole.trim().split(' ')[5]!;
    const { body } = await complete(port, asked({ stop: [word, 'never there'] }));
    expect(body.choices[0]).toMatchObject({ text: whole.slice(0, whole.indexOf(word)), finish_reason: 'stop' });
  });

  it('a prompt that fills the context, and one that does not fit', async () => {
    const { contextLength } = bench.oracle.info;
    const long = OPENINGS.join(' ');
    const tokens = bench.model.tokenizer.encode(long);
    const prompt = bench.model.tokenizer.decode(tokens.slice(0, contextLength - 3));
    const { status, body } = await complete(port, asked({ prompt, max_tokens: 50 }));
    expect(status).toBe(200);
    expect(body.usage!.total_tokens).toBeLessThanOrEqual(contextLength + 1);
    const tooLong = bench.model.tokenizer.decode([...tokens, ...tokens].slice(0, contextLength + 9));
    const refused = await complete(port, asked({ prompt: tooLong }));
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'context_length_exceeded' } } });
  });

  it('goes on with the same text after its engine was killed', async () => {
    const options = { model: bench.bundle, port: 0, format: 'f32', threads: 1, logLevel: 'silent' } as const;
    const mortal = await startServer({ ...options, completions: true });
    const answer = await post(mortal.port, { ...asked(), stream: true });
    const reader = answer.body!.getReader();
    let text = new TextDecoder().decode((await reader.read()).value);
    process.kill(mortal.engineProcessIds[0]!, 'SIGKILL');
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      text += new TextDecoder().decode(piece.value);
    }
    const pieces = [...text.matchAll(/"text":("(?:[^"\\]|\\.)*")/g)].map(([, json]) => JSON.parse(json!) as string);
    expect(pieces.join('')).toBe(await unsplit(0, 0));
    await mortal.close();
  });

  it('gives the engine back when the client leaves', async () => {
    const leaving = new AbortController();
    for (let round = 0; round < limits.COMPLETIONS_MAX + 4; round++) {
      const answer = await post(port, { ...asked({ max_tokens: 400 }), stream: true }, {}, leaving.signal);
      expect(answer.status).toBe(200);
      await answer.body!.cancel();
    }
    leaving.abort();
    expect((await complete(port, asked())).body.choices[0]?.text).toBe(await unsplit(0, 0));
  });

  it.each([
    ['no JSON', '{', 400, /not JSON/, null],
    ['no prompt', { model: 'x' }, 400, /^prompt:/, 'prompt'],
    ['token ids', { model: 'x', prompt: [1, 2] }, 400, /token ids are not taken/, 'prompt'],
    ['a penalty', { model: 'x', prompt: 'a', presence_penalty: 1 }, 400, /only 0 is supported/, 'presence_penalty'],
    ['two answers', { model: 'x', prompt: 'a', n: 2 }, 400, /only 1 is supported/, 'n'],
    [
      'an unknown field',
      { model: 'x', prompt: 'a', guided_json: {} },
      400,
      /unknown field guided_json; known are/,
      'guided_json',
    ],
    ['another model', { model: 'gpt', prompt: 'a' }, 404, /gpt is not served here/, 'model'],
    ['too much', `"${'a'.repeat(limits.COMPLETION_BODY_BYTES_MAX)}"`, 413, /more than/, null],
  ])('refuses %s in the shape of OpenAI', async (_, body, status, message, param) => {
    const answer = await complete(port, body);
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatchObject({ message: expect.stringMatching(message), param });
    expect(answer.body.error?.type).toBe('invalid_request_error');
  });

  it('refuses log probabilities, forms, wrong methods and foreign pages', async () => {
    const probabilities = await complete(port, asked({ logprobs: 1 }));
    expect(probabilities).toMatchObject({ status: 400, body: { error: { param: 'logprobs' } } });
    const form = await post(port, asked(), { 'Content-Type': 'text/plain' });
    expect(form.status).toBe(415);
    expect((await fetch(`http://127.0.0.1:${port}/v1/completions`)).status).toBe(405);
    const page = await complete(port, asked(), { Origin: 'https://evil.example' });
    expect(page).toMatchObject({ status: 403, body: { error: { type: 'authentication_error' } } });
  });

  it('lists its model, and does nothing of it unless told to', async () => {
    expect(await ask(port, '/v1/models')).toMatchObject({ status: 200, body: { data: [{ id: model }] } });
    expect(await ask(bench.server.port, '/v1/models')).toMatchObject({ status: 404 });
    expect((await post(bench.server.port, asked())).status).toBe(404);
  });

  it('wants the credential of the sockets', async () => {
    const options = { model: bench.bundle, port: 0, format: 'f32', threads: 1, logLevel: 'silent' } as const;
    const guarded = await startServer({ ...options, completions: true, token: ['open-sesame'] });
    const refused = await complete(guarded.port, asked());
    expect(refused).toMatchObject({ status: 401, body: { error: { code: 'invalid_api_key' } } });
    const served = await complete(guarded.port, asked({ max_tokens: 1 }), { Authorization: 'Bearer open-sesame' });
    expect(served.status).toBe(200);
    await guarded.close();
  });
});
