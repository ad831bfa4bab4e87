import { once } from 'node:events';
import type { SessionOptions } from '@tandem/edge';
import { type EdgeEndpoint, type EndpointOptions, startEdgeEndpoint } from '@tandem/edge/endpoint';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, startBench, tell, tellUnsplit } from '../support/exactness.js';
import { startTandem } from '../support/run-tandem.js';
import { OPENINGS } from '../support/tales.js';

/** What Tandem says in every answer beside OpenAI's fields. */
interface TandemFields {
  tandem?: {
    tokens: { id: number; kind: string; stage?: number; verified?: boolean; degraded?: boolean }[];
    seed?: number;
    transfer?: { roundTrips: number; bytesUp: number };
  };
}

/** The endpoint as the official client of OpenAI meets it, over the embedded model and a real server. */
describe('serve-edge', () => {
  let bench: Bench;
  let model: string;
  const running: EdgeEndpoint[] = [];
  beforeAll(async () => {
    bench = await startBench('q8');
    model = bench.model.manifest.name;
  });
  afterEach(async () => {
    for (const endpoint of running.splice(0)) await endpoint.close();
  });
  afterAll(() => bench.close());

  const opening = OPENINGS[3]!;
  const asked = (change: object = {}) => ({ model, prompt: opening, max_tokens: 24, temperature: 0, ...change });

  async function serve(
    options: EndpointOptions = {},
    session: SessionOptions = { mode: 'exact', cloud: { url: bench.server.url } },
  ): Promise<{ client: OpenAI; url: string }> {
    const endpoint = await startEdgeEndpoint(bench.model, session, { port: 0, ...options });
    running.push(endpoint);
    const client = new OpenAI({ baseURL: endpoint.url, apiKey: options.apiKey ?? 'any', maxRetries: 0 });
    return { client, url: endpoint.url };
  }

  async function unsplit(temperature: number, seed: number): Promise<string> {
    const tokens = await tellUnsplit(bench, { opening, temperature, seed, maxOutputTokens: 24 });
    return bench.model.tokenizer.decode(tokens);
  }

  it.each([
    [0, 0],
    [0.8, 7],
  ])('the text is that of the unsplit model, temperature %d, seed %d', async (temperature, seed) => {
    const { client } = await serve();
    const answer = await client.completions.create(asked({ temperature, seed }));
    expect(answer.choices[0]).toMatchObject({ text: await unsplit(temperature, seed), finish_reason: 'length' });
    const prompt_tokens = bench.model.tokenizer.encode(opening).length;
    expect(answer.usage).toEqual({ prompt_tokens, completion_tokens: 24, total_tokens: prompt_tokens + 24 });
    const { tandem } = answer as TandemFields;
    expect(tandem!.tokens).toHaveLength(24);
    for (const { kind, verified } of tandem!.tokens)
      expect(kind === 'cloud' || (kind === 'exit' && verified)).toBe(true);
    expect(new Set(tandem!.tokens.map(({ kind }) => kind)).size, 'both sides decide').toBe(2);
    expect(tandem!.transfer!.roundTrips).toBeGreaterThan(0);
  });

  it('a stream is the same text in pieces, each with who decided it, then figures', async () => {
    const { client } = await serve();
    const stream = await client.completions.create({
      ...asked(),
      stream: true,
      stream_options: { include_usage: true },
    });
    const parts = [];
    for await (const part of stream) parts.push(part);
    const pieces = parts.filter(({ choices }) => choices.length > 0);
    expect(pieces.map(({ choices }) => choices[0]!.text).join('')).toBe(await unsplit(0, 0));
    expect(pieces.at(-1)!.choices[0]!.finish_reason).toBe('length');
    expect(parts.at(-1)!.usage!.completion_tokens).toBe(24);
    const whole = (await client.completions.create(asked())) as TandemFields;
    const ids = parts.flatMap((part) => (part as TandemFields).tandem?.tokens ?? []).map(({ id }) => id);
    expect(ids).toEqual(whole.tandem!.tokens.map(({ id }) => id));
  });

  it('ends before a stop sequence; tells the seed where none was given', async () => {
    const { client } = await serve();
    const whole = await unsplit(0, 0);
    const word = whole.trim().split(' ')[6]!;
    const { choices } = await client.completions.create(asked({ stop: [word, 'never there'] }));
    expect(choices[0]).toMatchObject({ text: whole.slice(0, whole.indexOf(word)), finish_reason: 'stop' });
    const free = await client.completions.create(asked({ temperature: 1 }));
    const { seed } = (free as TandemFields).tandem!;
    const again = await client.completions.create(asked({ temperature: 1, seed }));
    expect(again.choices[0]!.text).toBe(free.choices[0]!.text);
  });

  it('log probabilities are those of the session, as texts, streamed or not', async () => {
    const { client } = await serve();
    const answer = await client.completions.create(asked({ logprobs: 2 }));
    const logprobs = answer.choices[0]!.logprobs!;
    expect(logprobs.tokens!.join('')).toBe(answer.choices[0]!.text);
    expect(logprobs.text_offset![0]).toBe(opening.length);
    const session = await bench.model.createSession({ cloud: { url: bench.server.url } });
    const { tokens } = await session.generate(opening, { maxOutputTokens: 24, temperature: 0, logprobs: 2 });
    await session.dispose();
    expect(logprobs.token_logprobs).toEqual(tokens.map((token) => token.logprobs!.logprob));
    // Greedy: the token is the likeliest one.
    for (const [index, top] of logprobs.top_logprobs!.entries()) {
      expect(Object.keys(top!)).toHaveLength(2);
      expect(top![logprobs.tokens![index]!]).toBe(logprobs.token_logprobs![index]);
    }
    const parts: string[] = [];
    for await (const part of await client.completions.create({ ...asked({ logprobs: 2 }), stream: true })) {
      parts.push(...(part.choices[0]!.logprobs?.tokens ?? []));
    }
    expect(parts).toEqual(logprobs.tokens);
    expect((await client.completions.create(asked())).choices[0]!.logprobs).toBeNull();
  });

  it('lists its model', async () => {
    const { client } = await serve();
    const { data } = await client.models.list();
    expect(data.map(({ id, object }) => [id, object])).toEqual([[model, 'model']]);
  });

  it('many requests at once, few sessions: each gets its own text', async () => {
    const { client } = await serve({ sessionsMax: 2 });
    const texts = await Promise.all(
      OPENINGS.slice(0, 7).map(async (prompt) => {
        const { choices } = await client.completions.create(asked({ prompt, max_tokens: 12 }));
        const tokens = await tellUnsplit(bench, { opening: prompt, temperature: 0, seed: 0, maxOutputTokens: 12 });
        return [choices[0]!.text, bench.model.tokenizer.decode(tokens)];
      }),
    );
    for (const [told, right] of texts) expect(told).toBe(right);
  });

  it('who goes on with a text gets the session that holds it', async () => {
    const session = { cloud: { url: bench.server.url }, promptAs: 'rows' } as const;
    const { client } = await serve({ sessionsMax: 3 }, session);
    const begin = OPENINGS.slice(0, 12).join(' ');
    const first = await client.completions.create(asked({ prompt: begin }));
    await client.completions.create(asked({ prompt: OPENINGS[40] }));
    const longer = begin + first.choices[0]!.text;
    const second = (await client.completions.create(asked({ prompt: longer, max_tokens: 4 }))) as TandemFields;
    const rowBytes = 2 * bench.model.manifest.width;
    expect((first as TandemFields).tandem!.transfer!.bytesUp).toBeGreaterThan(100 * rowBytes);
    expect(second.tandem!.transfer!.bytesUp).toBeLessThan(30 * rowBytes);
  });

  it('a client that leaves ends its generation, and gives its session to the next', async () => {
    const { client } = await serve({ sessionsMax: 1 });
    for (let round = 0; round < 5; round++) {
      const leaving = new AbortController();
      const stream = await client.completions.create(
        { ...asked({ max_tokens: 400 }), stream: true },
        { signal: leaving.signal },
      );
      for await (const _part of stream) break;
      leaving.abort();
    }
    // One that leaves while it waits, too.
    const long = client.completions.create(asked({ max_tokens: 60 }));
    const waiting = new AbortController();
    const gone = client.completions.create(asked(), { signal: waiting.signal });
    setTimeout(() => waiting.abort(), 5);
    await expect(gone).rejects.toThrow(OpenAI.APIUserAbortError);
    await long;
    expect((await client.completions.create(asked())).choices[0]!.text).toBe(await unsplit(0, 0));
  });

  it.each<[string, object, number, string | null, string | null, RegExp]>([
    ['another model', { model: 'gpt' }, 404, 'model_not_found', 'model', /gpt is not served here/],
    ['many alternatives', { logprobs: 6 }, 400, null, 'logprobs', /5/],
    ['a penalty', { presence_penalty: 1 }, 400, null, 'presence_penalty', /only 0/],
    ['an unknown field', { guided_json: {} }, 400, null, 'guided_json', /unknown field/],
    ['no room', { prompt: OPENINGS.join(' ').repeat(3) }, 400, 'context_length_exceeded', null, /holds/],
    [
      'a chat with a model of texts',
      { messages: [{ role: 'user', content: 'a' }] },
      400,
      'INVALID_OPTION',
      null,
      /chat template/,
    ],
  ])('refuses %s as OpenAI does', async (_, change, status, code, param, message) => {
    const { client } = await serve();
    const isChat = 'messages' in change;
    const { prompt: _prompt, ...rest } = asked(change) as Record<string, unknown>;
    const answer = isChat
      ? client.chat.completions.create(rest as never)
      : client.completions.create(asked(change) as never);
    const error = await answer.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ status, message: expect.stringMatching(message) });
    expect((error as InstanceType<typeof OpenAI.APIError>).code ?? null).toBe(code);
    expect((error as InstanceType<typeof OpenAI.APIError>).param ?? null).toBe(param);
  });

  it('wants its key, and pages need leave', async () => {
    const { client, url } = await serve({ apiKey: 'open-sesame', allowedOrigins: ['https://app.example'] });
    expect((await client.completions.create(asked({ max_tokens: 1 }))).choices).toHaveLength(1);
    const wrong = new OpenAI({ baseURL: url, apiKey: 'guess', maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    const from = (origin: string, method = 'GET') =>
      fetch(`${url}/models`, { method, headers: { Origin: origin, Authorization: 'Bearer open-sesame' } });
    expect((await from('https://evil.example')).status).toBe(403);
    const fine = await from('https://app.example');
    expect([fine.status, fine.headers.get('access-control-allow-origin')]).toEqual([200, 'https://app.example']);
    expect((await from('https://app.example', 'OPTIONS')).status).toBe(204);
    const form = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain', Authorization: 'Bearer open-sesame' },
      body: JSON.stringify(asked()),
    });
    expect(form.status).toBe(415);
    await expect(startEdgeEndpoint(bench.model, { mode: 'device-only' }, { host: '0.0.0.0' })).rejects.toThrow(
      /INVALID_OPTION: an endpoint at 0\.0\.0\.0 without a key/,
    );
  });

  it('without the cloud it goes on alone and says so, or fails with a status', async () => {
    const cloud = { url: 'ws://127.0.0.1:1', unavailableAfterMs: 50 };
    const alone = await serve({}, { cloud, onCloudUnavailable: 'degrade' });
    const answer = (await alone.client.completions.create(asked())) as TandemFields;
    expect(answer.tandem!.tokens.every(({ kind, degraded }) => kind === 'exit' && degraded)).toBe(true);
    const failing = await serve({}, { cloud, onCloudUnavailable: 'fail' });
    const refused = failing.client.completions.create(asked());
    await expect(refused).rejects.toMatchObject({ status: 503, code: 'CLOUD_UNAVAILABLE' });
    const device = await serve({}, { mode: 'device-only' });
    const told = await device.client.completions.create(asked());
    const right = await tell(bench, { opening, temperature: 0, seed: 0, maxOutputTokens: 24 }, undefined, {
      mode: 'device-only',
      cloud: undefined,
    });
    expect(told.choices[0]!.text).toBe(right.text);
  });

  it('tells in mid-stream why it ends', async () => {
    const { client } = await serve();
    const stream = await client.completions.create({ ...asked({ max_tokens: 400 }), stream: true });
    const reading = (async () => {
      for await (const _part of stream) void running.splice(0).map((endpoint) => endpoint.close());
    })();
    await expect(reading).rejects.toThrow(OpenAI.APIError);
  });

  it('npx tandem serve-edge: one line when it serves, the right text, and an end on a signal', async () => {
    const child = startTandem(
      'serve-edge',
      '--model',
      bench.bundle,
      '--cloud',
      bench.server.url,
      '--port',
      '0',
      '--format',
      'q8',
    );
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    const [, url] = /^tandem serve-edge \S+ serves \S+ \(exact\) at (http:\/\/127\.0\.0\.1:\d+\/v1)\n$/.exec(
      String(line),
    )!;
    const client = new OpenAI({ baseURL: url, apiKey: 'any', maxRetries: 0 });
    const { choices } = await client.completions.create(asked());
    expect(choices[0]!.text).toBe(await unsplit(0, 0));
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(0);
  });
});
