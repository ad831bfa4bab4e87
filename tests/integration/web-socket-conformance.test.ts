import { once } from 'node:events';
import { connect } from 'node:net';
import { type CloudServer, startServer } from '@tandem/cloud';
import { decodeMessage, encodeMessage, limits, type Messages } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RawWebSocket, rawFrame } from '../support/raw-web-socket.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** FIN and opcodes of RFC 6455. */
const FIN = 0x80;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10] as const;
const NOT_UTF8 = Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]);
const NOTHING = Buffer.alloc(0);

/** The parts of RFC 6455 that a hostile or broken peer tries, said byte for byte to the real server. */
describe('web socket', () => {
  let bundle: SmallBundle;
  let server: CloudServer;
  let hello: Uint8Array;
  let opened = 0;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    server = await startServer({ model: bundle.directory, port: 0, threads: 1, logLevel: 'silent' });
    const { model, format, contextLength: capacity } = bundle.engine.info;
    const declaration: Messages['session-open'] = { model, format, context: 'rows', codec: 'f32', capacity, epoch: 0 };
    hello = encodeMessage('session-open', declaration);
  });

  afterAll(async () => {
    await server?.close();
    await bundle?.remove();
  });

  const newId = () => `raw-socket-session-${++opened}`;
  const peer = () => RawWebSocket.open(server.port, newId());

  async function expectOpened(socket: RawWebSocket): Promise<void> {
    const frame = await socket.frame();
    expect(frame?.opcode).toBe(BINARY);
    expect(decodeMessage(frame!.payload).kind).toBe('session-opened');
    socket.socket.destroy();
  }

  it('takes a message in fragments, with a ping between them', async () => {
    const socket = await peer();
    socket.send(BINARY, hello.subarray(0, 1));
    socket.send(CONTINUATION, NOTHING);
    socket.send(FIN | PING, Buffer.from('are you there?'));
    socket.send(FIN | CONTINUATION, hello.subarray(1));
    expect(await socket.frame()).toMatchObject({ opcode: PONG, payload: Buffer.from('are you there?') });
    await expectOpened(socket);
  });

  it('takes a message that comes a byte at a time', async () => {
    const socket = await peer();
    for (const byte of rawFrame(FIN | BINARY, hello)) {
      socket.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expectOpened(socket);
  });

  it('takes a handshake that comes a byte at a time, and a message in the same packet as its end', async () => {
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    const head = handshake(newId());
    for (const byte of Buffer.from(head.slice(0, -1))) socket.write(Buffer.of(byte));
    socket.write(Buffer.concat([Buffer.from(head.slice(-1)), rawFrame(FIN | BINARY, hello)]));
    let heard = '';
    while (!heard.includes('\r\n\r\n')) heard += (await once(socket, 'data'))[0].toString('latin1');
    expect(heard).toMatch(/^HTTP\/1\.1 101 /);
    const raw = new RawWebSocket(socket);
    socket.unshift(Buffer.from(heard.slice(heard.indexOf('\r\n\r\n') + 4), 'latin1'));
    await expectOpened(raw);
  });

  it.each([0, 1, 125])('echoes a ping of %d bytes', async (bytes) => {
    const socket = await peer();
    const payload = Buffer.alloc(bytes, 0x5a);
    socket.send(FIN | PING, payload);
    expect(await socket.frame()).toEqual({ isFinal: true, opcode: PONG, payload });
    socket.socket.destroy();
  });

  it('takes a pong that nobody asked for as what it is: nothing', async () => {
    const socket = await peer();
    socket.send(FIN | PONG, Buffer.from('hello'));
    socket.send(FIN | BINARY, hello);
    await expectOpened(socket);
  });

  it.each([1_000, 1_001, 3_000, 4_999])('answers a close with %d in kind', async (code) => {
    const socket = await peer();
    socket.send(FIN | CLOSE, Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from('bye')]));
    expect(await socket.closeCode()).toBe(code);
  });

  type Say = (socket: RawWebSocket) => void;
  const say =
    (first: number, payload: Uint8Array, options?: Parameters<typeof rawFrame>[2]): Say =>
    (socket) =>
      socket.send(first, payload, options);
  const closing = (...bytes: number[]) => say(FIN | CLOSE, Buffer.from(bytes));

  it.each<[string, number, Say]>([
    ['a frame without a mask', 1002, say(FIN | BINARY, Buffer.from('x'), { masked: false })],
    ['the first reserved bit', 1002, say(FIN | 0x40 | BINARY, NOTHING)],
    ['the second reserved bit', 1002, say(FIN | 0x20 | BINARY, NOTHING)],
    ['the third reserved bit', 1002, say(FIN | 0x10 | PING, NOTHING)],
    ['a reserved opcode of data', 1002, say(FIN | 3, NOTHING)],
    ['a reserved opcode of control', 1002, say(FIN | 11, NOTHING)],
    ['a ping in fragments', 1002, say(PING, NOTHING)],
    ['a ping of 126 bytes', 1002, say(FIN | PING, Buffer.alloc(126))],
    ['a continuation of nothing', 1002, say(FIN | CONTINUATION, Buffer.from('x'))],
    [
      'a message within a message',
      1002,
      (socket) => {
        socket.send(BINARY, Buffer.from('x'));
        socket.send(FIN | BINARY, Buffer.from('y'));
      },
    ],
    ['a close of one byte', 1002, closing(3)],
    ['a close with a code that is never sent', 1002, closing(3, 0xed)],
    ['a close with a code below all', 1002, closing(0, 99)],
    ['a close with a reason that is not UTF-8', 1007, closing(3, 0xe8, ...NOT_UTF8)],
    ['a text that is not UTF-8', 1007, say(FIN | TEXT, NOT_UTF8)],
    ['a text', 4403, say(FIN | TEXT, Buffer.from('hello'))],
    ['an empty message', 4400, say(FIN | BINARY, NOTHING)],
    ['a length beyond the limit', 1009, say(BINARY, NOTHING, { announcedBytes: limits.FRAME_BYTES_MAX + 1 })],
    ['a length beyond any', 1009, say(BINARY, NOTHING, { announcedBytes: 2n ** 63n })],
    [
      'more fragments than a message may have',
      1008,
      (socket) => {
        socket.send(BINARY, NOTHING);
        const fragment = rawFrame(CONTINUATION, NOTHING);
        socket.socket.write(Buffer.concat(Array<Buffer>(limits.MESSAGE_FRAGMENTS_MAX).fill(fragment)));
      },
    ],
  ])('ends the connection that says %s with %d, and no other', async (_what, code, act) => {
    const witness = await peer();
    const socket = await peer();
    act(socket);
    expect(await socket.closeCode()).toBe(code);
    socket.socket.destroy();
    witness.send(FIN | BINARY, hello);
    await expectOpened(witness);
  });

  it.each<[string, (head: string) => string, RegExp]>([
    ['another version of the protocol', (head) => head.replace('Version: 13', 'Version: 12'), /^HTTP\/1\.1 (400|426) /],
    ['no key', (head) => head.replace(/Sec-WebSocket-Key: .*\r\n/, ''), /^HTTP\/1\.1 400 /],
    ['no upgrade', (head) => head.replace('Upgrade: websocket\r\n', ''), /^HTTP\/1\.1 4\d\d /],
    ['another method', (head) => head.replace('GET', 'POST'), /^HTTP\/1\.1 4\d\d /],
    ['a path that is none', (head) => head.replace('/v1/sessions', '/v2/sessions'), /^HTTP\/1\.1 404 /],
    ['a session id that is too short', (head) => head.replace(/sessions\/\S+/, 'sessions/short'), /^HTTP\/1\.1 40\d /],
    ['bytes that are no HTTP', () => '\x16\x03\x01\x02\x00\r\n\r\n', /^HTTP\/1\.1 400 /],
  ])('answers a handshake with %s before there is a socket', async (_what, change, status) => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(Buffer.from(change(handshake(newId())), 'latin1'));
    const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
    expect(answer.toString('latin1')).toMatch(status);
    socket.destroy();
  });
});

function handshake(sessionId: string): string {
  const head = [
    `GET /v1/sessions/${sessionId} HTTP/1.1`,
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}`,
    'Sec-WebSocket-Protocol: tandem.v1',
  ];
  return `${head.join('\r\n')}\r\n\r\n`;
}
