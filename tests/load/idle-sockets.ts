import { connect, type Socket } from 'node:net';
import type { SmallBundle } from '../support/small-bundle.js';
import type { WireClient } from '../support/wire-client.js';
import { inParallel, openSession, pause } from './load-client.js';
import type { LoadReport } from './load-report.js';
import { ServerProcess } from './server-process.js';

const KIB_MAX = 25;
/** What a client may send before its session is open, less one control map. */
const HALF_MESSAGE_BYTES = 30_000;

/**
 * So many connections with an open session each and nothing to do. What the server's process takes for one of them, in
 * resident memory, may not be more than 25 KiB. Control: connections that hold back the end of a first message.
 */
export async function loadIdleSockets(size: number, bundle: SmallBundle): Promise<LoadReport> {
  const server = await ServerProcess.start(bundle.directory, '--context-overcommit', '1000');
  // The first connections load code and fill pools.
  const first = await openIdle(server.url, bundle, Math.min(300, size), 'warm');
  await pause(1_000);
  const before = await server.read();
  const startedMs = performance.now();
  const crowd = await openIdle(server.url, bundle, size, 'idle');
  const openedMs = performance.now() - startedMs;
  await pause(2_000);
  const after = await server.read();
  for (const client of [...first, ...crowd]) client.transport.close();
  const stalled = Math.ceil(size / 4);
  const control = await kibPerStalledSocket(bundle, stalled);
  await server.close();
  const value = (after.residentBytes - before.residentBytes) / size / 1_024;
  return {
    test: 'sockets',
    size,
    checks: [
      { what: 'resident memory a socket', value, limit: KIB_MAX, unit: 'KiB' },
      { what: 'sockets that are missing', value: size - (after.sockets - before.sockets), limit: 0, unit: 'sockets' },
    ],
    control: { what: 'the same, with half a message each', value: control, limit: KIB_MAX, unit: 'KiB' },
    figures: {
      openedPerS: size / (openedMs / 1_000),
      heapKibPerSocket: (after.heapBytes - before.heapBytes) / size / 1_024,
    },
  };
}

async function openIdle(url: string, bundle: SmallBundle, count: number, name: string): Promise<WireClient[]> {
  const clients: WireClient[] = [];
  await inParallel(count, 64, async (index) => {
    const { client } = await openSession(url, `load-${name}-${index}-0123456789`, bundle);
    clients.push(client);
  });
  return clients;
}

async function kibPerStalledSocket(bundle: SmallBundle, count: number): Promise<number> {
  const server = await ServerProcess.start(bundle.directory);
  const warm = await stall(server.url, 50, 'warm');
  await pause(500);
  const before = await server.read();
  const sockets = await stall(server.url, count, 'stall');
  await pause(1_000);
  const after = await server.read();
  for (const socket of [...warm, ...sockets]) socket.destroy();
  await server.close();
  return (after.residentBytes - before.residentBytes) / count / 1_024;
}

/** WebSockets on bare sockets that announce a message and send most of it. */
async function stall(url: string, count: number, name: string): Promise<Socket[]> {
  const { port, host } = new URL(url);
  const sockets: Socket[] = [];
  await inParallel(count, 64, async (index) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1' });
    socket.on('error', () => {});
    sockets.push(socket);
    const lines = [
      `GET /v1/sessions/load-${name}-${index}-0123456789 HTTP/1.1`,
      `Host: ${host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString('base64')}`,
      'Sec-WebSocket-Protocol: tandem.v1',
    ];
    const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    await answered;
    // Final, binary, masked with zeros, 65,000 bytes announced.
    const head = Buffer.from([0x82, 0xfe, 65_000 >> 8, 65_000 & 0xff, 0, 0, 0, 0]);
    socket.write(Buffer.concat([head, Buffer.alloc(HALF_MESSAGE_BYTES)]));
  });
  return sockets;
}
