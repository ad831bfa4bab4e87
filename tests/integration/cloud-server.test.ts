import { once } from 'node:events';
import { connect } from 'node:net';
import { type CloudServer, type Log, startServer } from '@tandem/cloud';
import { webSocketConnect } from '@tandem/edge/testing';
import { encodeTokenIds, generateUnsplit, limits, type Messages, ROW_CODEC_NAMES } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, upgrade, webSocketFrame } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { WireClient } from '../support/wire-client.js';

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
const SAMPLED = { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 5 };
const TOKENS = Array.from({ length: 40 }, (_, index) => (index * 11 + 3) % 60);

/** The real thing: sockets, an engine in a child process, ONNX stages. */
describe('cloud server', () => {
  let bundle: SmallBundle;
  let server: CloudServer;
  let rows: Uint8Array;
  let bytesPerRow: number;
  let opened = 0;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    rows = await bundle.rows(TOKENS);
    bytesPerRow = rows.length / TOKENS.length;
    server = await startServer({ model: bundle.directory, port: 0, threads: 1, logLevel: 'silent' });
  });

  afterAll(async () => {
    await server?.close();
    await bundle?.remove();
  });

  const newId = () => `integration-session-${++opened}`;

  async function connected(to: CloudServer = server, token?: string, sessionId = newId()): Promise<WireClient> {
    return new WireClient(webSocketConnect({ url: to.url, sessionId, token })).opened();
  }

  function declaration(change: Partial<Messages['session-open']> = {}): Messages['session-open'] {
    const { model, format, contextLength } = bundle.engine.info;
    return { model, format, context: 'rows', codec: 'f32', capacity: contextLength, epoch: 0, ...change };
  }

  async function session(change: Partial<Messages['session-open']> = {}, to = server): Promise<WireClient> {
    const client = await connected(to);
    client.send('session-open', declaration(change));
    await client.take('session-opened');
    return client;
  }

  function forward(client: WireClient, from: number, to: number, asked: Partial<Messages['context-forward']> = {}) {
    const control = { epoch: 1, from, count: to - from, want: [], drafts: [], sampling: GREEDY, ...asked };
    client.send('context-forward', control, rows.slice(from * bytesPerRow, to * bytesPerRow));
  }

  it('gives the choices of the whole model for rows', async () => {
    const client = await session();
    forward(client, 0, 30);
    forward(client, 30, 40, { want: [35, 39], sampling: SAMPLED });
    await client.take('credit');
    const verdict = await client.take('verdict');
    const expected = [await bundle.choice(TOKENS.slice(0, 36), SAMPLED), await bundle.choice(TOKENS, SAMPLED)];
    expect(verdict).toMatchObject({ rows: [35, 39], tokens: expected.map(({ token }) => token), length: 40 });
    client.transport.close();
  });

  it('tells on its own what the unsplit model tells', async () => {
    const client = await session({ context: 'tokens', codec: 'int8' });
    const { engine } = bundle;
    const payload = encodeTokenIds(TOKENS, engine.info.vocabularySize);
    const last = TOKENS.length - 1;
    client.send(
      'context-forward',
      { epoch: 1, from: 0, count: 40, want: [last], drafts: [], sampling: SAMPLED, extend: 11 },
      payload,
    );
    const told: number[] = [];
    while (told.length < 12 && told.at(-1) !== 2) told.push(...(await client.take('verdict')).tokens);
    const options = {
      prompt: TOKENS,
      maxOutputTokens: 12,
      sampling: SAMPLED,
      codec: 'int8',
      eosTokenIds: [2],
    } as const;
    expect(told).toEqual(await generateUnsplit(engine, options));
    client.transport.close();
  });

  it('goes on with the same verdicts after its engine was killed', async () => {
    const client = await session();
    forward(client, 0, 30, { want: [29] });
    await client.take('verdict');
    const [engineProcess] = server.engineProcessIds;
    process.kill(engineProcess!, 'SIGKILL');
    forward(client, 30, 40, { want: [39] });
    expect((await client.take('verdict')).tokens).toEqual([(await bundle.choice(TOKENS, GREEDY)).token]);
    expect(server.engineProcessIds).not.toContain(engineProcess);
    expect(await ask(server.port, '/ready')).toMatchObject({ status: 200 });
    client.transport.close();
  });

  it('resumes a session on a new socket', async () => {
    const id = newId();
    const first = await connected(server, undefined, id);
    first.send('session-open', declaration());
    const { resume } = await first.take('session-opened');
    forward(first, 0, 30, { want: [29] });
    await first.take('verdict');
    const second = await connected(server, undefined, id);
    second.send('session-open', declaration({ epoch: 1, resume }));
    expect(await second.take('session-opened')).toMatchObject({ epoch: 1, length: 30 });
    expect(await first.ended()).toMatchObject({ code: 4409 });
    second.transport.close();
  });

  it('refuses another model and rows that are not finite, and others do not notice', async () => {
    const witness = await session();
    const wrong = await connected();
    wrong.send('session-open', declaration({ format: 'q8' }));
    expect(await wrong.take('error')).toMatchObject({ code: 'MODEL_MISMATCH' });
    expect(await wrong.ended()).toMatchObject({ code: 4412 });
    const poisoner = await session();
    const poison = new Uint8Array(new Float32Array(bytesPerRow / 4).fill(Number.NaN).buffer);
    poisoner.send('context-forward', { epoch: 1, from: 0, count: 1, want: [0], drafts: [] }, poison);
    expect(await poisoner.take('error')).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    expect(await poisoner.ended()).toMatchObject({ code: 4403 });
    forward(witness, 0, 40, { want: [39] });
    expect((await witness.take('verdict')).tokens).toEqual([(await bundle.choice(TOKENS, GREEDY)).token]);
    witness.transport.close();
  });

  it.each([
    ['a text message', webSocketFrame(0x81, Buffer.from('hello')), 4403],
    ['a frame with reserved bits', webSocketFrame(0xf2, Buffer.from('hello')), 1002],
    ['bytes that are no tandem frame', webSocketFrame(0x82, Buffer.alloc(40, 7)), 4400],
    ['a message that is announced too large', Buffer.from('82ff000000004000000000000000', 'hex'), 1009],
  ])('closes the connection of %s with its code, and no other', async (_, bytes, code) => {
    const witness = await session();
    const answer = await upgrade(server.port, `/v1/sessions/${newId()}`, { 'Sec-WebSocket-Protocol': 'tandem.v1' });
    if (!('socket' in answer)) throw new Error('refused');
    answer.socket.write(bytes);
    const closeFrame = Buffer.from([0x88, 0, code >> 8, code & 0xff]);
    let heard = Buffer.alloc(0);
    while (!hasCloseFrame(heard, closeFrame)) {
      const [chunk] = await once(answer.socket, 'data');
      heard = Buffer.concat([heard, chunk]);
    }
    answer.socket.destroy();
    forward(witness, 0, 3, { want: [2] });
    await witness.take('verdict');
    witness.transport.close();
  });

  /** A close frame's length depends on its text; everything else is known. */
  function hasCloseFrame(heard: Buffer, expected: Buffer): boolean {
    const at = heard.lastIndexOf(0x88);
    return at >= 0 && heard.readUInt16BE(at + 2) === expected.readUInt16BE(2);
  }

  it('survives peers that reset at every point of the handshake', async () => {
    const witness = await session();
    const head = [
      `GET /v1/sessions/${newId()} HTTP/1.1`,
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}`,
      'Sec-WebSocket-Protocol: tandem.v1',
      '',
      '',
    ].join('\r\n');
    for (const part of ['', 'GET', head.slice(0, 60), head, `${head}\x82`, 'no http\r\n\r\n']) {
      const socket = connect(server.port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(part, () => socket.resetAndDestroy());
      await once(socket, 'close');
    }
    forward(witness, 0, 3, { want: [2] });
    await witness.take('verdict');
    expect(await ask(server.port, '/health')).toEqual({ status: 200, body: { status: 'ok' } });
    witness.transport.close();
  });

  it('says how it is and what it serves', async () => {
    expect(await ask(server.port, '/health')).toEqual({ status: 200, body: { status: 'ok' } });
    expect(await ask(server.port, '/ready')).toMatchObject({ status: 200, body: { status: 'ready' } });
    const { model, format, contextLength } = bundle.engine.info;
    expect(await ask(server.port, '/v1/info')).toMatchObject({
      status: 200,
      body: { model, format, contextLength, cut: 2, codecs: ROW_CODEC_NAMES, engine: { threads: 1 } },
    });
    expect(await ask(server.port, '/')).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(await ask(server.port, '/ready', 'POST')).toMatchObject({ status: 405 });
  });

  it('tells a port in use, and leaves nothing behind', async () => {
    const second = startServer({ model: bundle.directory, port: server.port, logLevel: 'silent' });
    await expect(second).rejects.toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(/in use/) });
  });

  it('refuses a format that the bundle lacks', async () => {
    const second = startServer({ model: bundle.directory, port: 0, format: 'q4', logLevel: 'silent' });
    await expect(second).rejects.toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(/has f32/) });
  });

  describe('with credentials', () => {
    const logged: string[] = [];
    let guarded: CloudServer;

    beforeAll(async () => {
      const note = (fields: object, text: string) => void logged.push(`${JSON.stringify(fields)} ${text}`);
      const log: Log = { debug: note, info: note, warn: note, error: note };
      const options = { model: bundle.directory, port: 0, threads: 1, token: ['canary-credential'] };
      guarded = await startServer({ ...options, allowOrigin: ['https://app.example'] }, { log });
    });

    afterAll(() => guarded?.close());

    const offer = (token: string, version = 'tandem.v1') => ({
      'Sec-WebSocket-Protocol': `${version}, tandem.token.${Buffer.from(token).toString('base64url')}`,
    });

    it.each([
      ['a wrong credential', offer('wrong'), 401, 'UNAUTHORIZED'],
      ['no credential', { 'Sec-WebSocket-Protocol': 'tandem.v1' }, 401, 'UNAUTHORIZED'],
      ['a foreign page', { ...offer('canary-credential'), Origin: 'https://evil.example' }, 403, 'UNAUTHORIZED'],
      ['another version', offer('canary-credential', 'tandem.v9'), 400, 'PROTOCOL_VIOLATION'],
    ])('answers %s before the 101', async (_, headers, status, code) => {
      const answer = await upgrade(guarded.port, `/v1/sessions/${newId()}`, headers);
      expect(answer).toMatchObject({ status, body: { code } });
    });

    it('lets the right one in, and logs neither credential nor session id nor tokens', async () => {
      const client = await connected(guarded, 'canary-credential', 'canary-session-id-1');
      client.send('session-open', declaration({ context: 'tokens' }));
      const stray = encodeTokenIds([60_001], 61);
      client.send('context-forward', { epoch: 1, from: 0, count: 1, want: [0], drafts: [] }, stray);
      expect(await client.take('error')).toMatchObject({ code: 'PROTOCOL_VIOLATION' });
      await client.ended();
      expect(logged.length).toBeGreaterThan(0);
      expect(logged.join('\n')).not.toMatch(/canary|60001/);
    });
  });

  it('stops gracefully: drain, the step under way, 1012, no process and no port left', async () => {
    const stopping = await startServer({ model: bundle.directory, port: 0, threads: 1, logLevel: 'silent' });
    const client = await session({}, stopping);
    const [engineProcess] = stopping.engineProcessIds;
    forward(client, 0, 40, { want: [39] });
    await client.take('verdict');
    const closed = stopping.close();
    expect(await client.take('drain')).toEqual({ deadlineMs: limits.DRAIN_SPREAD_MS });
    expect(await client.ended()).toMatchObject({ code: 1012 });
    await closed;
    expect(stopping.engineProcessIds).toEqual([]);
    expect(() => process.kill(engineProcess!, 0)).toThrow(/ESRCH/);
    await expect(ask(stopping.port, '/health')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
