import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type LinkProfile, type LinkProxy, startProxy } from '@tandem/netsim';
import { decodeMessage, encodeMessage, systemClock } from '@tandem/shared';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const LOCAL = '127.0.0.1';

async function startEcho(): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, LOCAL);
  await once(server, 'listening');
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

async function proxyTo(port: number, profile: LinkProfile, highWaterMarkBytes?: number): Promise<LinkProxy> {
  const proxy = await startProxy({
    target: { host: LOCAL, port },
    profile,
    seed: 7,
    ...(highWaterMarkBytes === undefined ? {} : { highWaterMarkBytes }),
  });
  closers.push(() => proxy.close());
  return proxy;
}

/** A client that collects what it gets; `ended` tells how it went. */
function dial({ host, port }: LinkProxy) {
  const socket: Socket = connect({ host, port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  let errorCode: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    errorCode = error.code;
  });
  socket.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise<{ bytes: Buffer; errorCode: string | undefined }>((resolve) => {
    const report = () => resolve({ bytes: Buffer.concat(chunks), errorCode });
    // Some kernels tell of a reset behind unread bytes as an end of the stream.
    socket.on('end', report);
    socket.on('close', report);
  });
  return { socket, ended };
}

const pattern = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, position) => position % 251));

describe('TCP proxy', () => {
  it('takes at least a round trip, and carries every byte in order, both ways, to the end', async () => {
    const proxy = await proxyTo(await startEcho(), { rttMs: 60, jitterMs: 5 });
    const { socket, ended } = dial(proxy);
    await once(socket, 'connect');
    const startMs = systemClock.now();
    socket.write('x');
    await once(socket, 'data');
    expect(systemClock.now() - startMs).toBeGreaterThanOrEqual(60);
    const sent = pattern(300_000);
    socket.end(sent);
    const { bytes, errorCode } = await ended;
    expect(errorCode).toBeUndefined();
    expect(bytes.subarray(1).equals(sent)).toBe(true);
    expect(proxy.stats).toMatchObject({ upBytes: 300_001, downBytes: 300_001, connections: 1, cuts: 0 });
  });

  it('cuts in the middle of a frame: no byte more is forwarded, and new connections are reset', async () => {
    const profile: LinkProfile = { cuts: [{ afterBytes: 1_500, direction: 'down' }], reconnectRefusedMs: 60_000 };
    const proxy = await proxyTo(await startEcho(), profile);
    const first = dial(proxy);
    first.socket.write(pattern(4_000));
    const { bytes } = await first.ended;
    first.socket.destroy();
    // A reset may overtake bytes in the receiver's kernel, so they are at most so many.
    expect(bytes.length).toBeLessThanOrEqual(1_500);
    expect(bytes.equals(pattern(4_000).subarray(0, bytes.length))).toBe(true);
    expect(proxy.stats).toMatchObject({ downBytes: 1_500, cuts: 1 });
    const second = dial(proxy);
    expect((await second.ended).errorCode).toBe('ECONNRESET');
    expect(proxy.stats.refused).toBe(1);
  });

  it('stops reading a sender that is faster than the link', async () => {
    const proxy = await proxyTo(await startEcho(), { upBytesPerS: 1_000 }, 65_536);
    const { socket, ended } = dial(proxy);
    await once(socket, 'connect');
    const sentBytes = 64 * 1024 * 1024;
    socket.write(Buffer.alloc(sentBytes));
    // Answers to a second connection prove that the proxy has had its turns; it has read far less than was offered.
    const other = dial(await proxyTo(await startEcho(), {}));
    for (let turn = 0; turn < 50; turn++) {
      other.socket.write('x');
      await once(other.socket, 'data');
    }
    other.socket.destroy();
    expect(socket.writableLength).toBeGreaterThan(0);
    proxy.cut();
    await ended;
    socket.destroy();
  });

  it('carries a WebSocket, whose client sees 1006 after a cut', async () => {
    const server = new WebSocketServer({ host: LOCAL, port: 0, perMessageDeflate: false });
    await once(server, 'listening');
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    server.on('connection', (peer) => {
      peer.on('error', () => {});
      peer.on('message', (data) => peer.send(data));
    });
    const proxy = await proxyTo((server.address() as AddressInfo).port, { rttMs: 40 });
    const startMs = systemClock.now();
    const client = new WebSocket(`ws://${proxy.host}:${proxy.port}`, { perMessageDeflate: false });
    client.on('error', () => {});
    await once(client, 'open');
    // TCP takes one round trip and the upgrade another.
    expect(systemClock.now() - startMs).toBeGreaterThanOrEqual(80);
    client.send(pattern(5_000));
    const [echo] = (await once(client, 'message')) as [Buffer];
    expect(echo.equals(pattern(5_000))).toBe(true);
    proxy.cut();
    const [code] = await once(client, 'close');
    expect(code).toBe(1006);
  });

  it('close() ends connections that are open, on both sides', async () => {
    const proxy = await proxyTo(await startEcho(), {});
    const { socket, ended } = dial(proxy);
    socket.write('x');
    await once(socket, 'data');
    await proxy.close();
    await ended;
    socket.destroy();
    expect(proxy.stats.cuts).toBe(0);
  });

  it('refuses afterFrames, and frees its port', async () => {
    const target = { host: LOCAL, port: 1 };
    const profile: LinkProfile = { cuts: [{ afterFrames: 1, direction: 'up' }] };
    await expect(startProxy({ target, profile })).rejects.toThrow('INVALID_OPTION');
    const proxy = await startProxy({ target, profile: {} });
    await proxy.close();
    const again = await startProxy({ target, profile: {}, listen: { port: proxy.port } });
    const { ended } = dial(again);
    await ended;
    await again.close();
  });

  it('cuts inside the message that was named, wherever that is, and lets those before it through', async () => {
    for (const part of [0, 0.5, 1]) {
      const server = new WebSocketServer({ host: LOCAL, port: 0 });
      await once(server, 'listening');
      closers.push(() => new Promise((resolve) => server.close(resolve)));
      const proxy = await proxyTo((server.address() as AddressInfo).port, {});
      proxy.cutInFrame('up', { kind: 'context-forward', part });
      const heard: string[] = [];
      const over = new Promise<number>((resolve) => {
        server.on('connection', (socket) => {
          socket.on('error', () => {});
          socket.on('message', (data: Buffer) => heard.push(decodeMessage(data).kind));
          socket.on('close', resolve);
        });
      });
      const client = new WebSocket(`ws://${LOCAL}:${proxy.port}`);
      client.on('error', () => {});
      await once(client, 'open');
      const control = { epoch: 0, from: 0, count: 300, want: [], drafts: [] };
      client.send(encodeMessage('credit', { epoch: 1, length: 2 }));
      client.ping('between');
      client.send(encodeMessage('ping', { nonce: 1 }));
      client.send(encodeMessage('context-forward', control, new Uint8Array(70_000)));
      client.send(encodeMessage('ping', { nonce: 2 }));
      expect(await over).toBe(1006);
      expect(heard).toEqual(['credit', 'ping']);
      expect(proxy.stats.cuts).toBe(1);
    }
  });

  it('a cut in the middle of a goodbye leaves no socket', async () => {
    const server = createServer((socket) => socket.on('error', () => {}).resume());
    server.listen(0, LOCAL);
    await once(server, 'listening');
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    // Those of the tests before are on their way out.
    await waitFor(() => sockets() === 0);
    const proxy = await proxyTo((server.address() as AddressInfo).port, {});
    const { socket } = dial(proxy);
    socket.write('hello');
    await waitFor(() => sockets() === 4);
    proxy.finish();
    proxy.cut();
    socket.destroy();
    await waitFor(() => sockets() === 0);
  });

  it('half-open: tells nobody, and keeps no socket of a side that has given up', async () => {
    const accepted: Socket[] = [];
    const server = createServer((socket) => accepted.push(socket.on('error', () => {})));
    server.listen(0, LOCAL);
    await once(server, 'listening');
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    const proxy = await proxyTo((server.address() as AddressInfo).port, {});
    const { socket } = dial(proxy);
    socket.write('hello');
    await waitFor(() => accepted.length === 1);
    const joined = sockets();
    proxy.silence();
    socket.destroy();
    // The client's two sockets are gone, the server's two are as they were.
    await waitFor(() => sockets() === joined - 2);
    expect(accepted[0]!.readableEnded || accepted[0]!.destroyed).toBe(false);
    accepted[0]!.destroy();
    await waitFor(() => sockets() === joined - 4);
  });
});

/** Open ones of this process. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
}

async function waitFor(isSo: () => boolean): Promise<void> {
  while (!isSo()) await systemClock.sleep(5);
}
