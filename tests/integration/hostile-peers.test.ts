import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { limits } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Run, serving, start } from '../support/cloud-command.js';
import { upgrade } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';

/** Peers that hold on to the server without being clients. */
describe('hostile peers', () => {
  let bundle: SmallBundle;
  let run: Run;
  let port: number;
  let opened = 0;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    run = start(['--model', bundle.directory, '--port', '0', '--threads', '1', '--log-level', 'silent']);
    port = await serving(run);
  });

  afterAll(async () => {
    run?.child.kill('SIGTERM');
    await run?.ended;
    await bundle?.remove();
  });

  async function socket(): Promise<Socket> {
    const id = `hostile-session-${++opened}-0123`;
    const answer = await upgrade(port, `/v1/sessions/${id}`, { 'Sec-WebSocket-Protocol': 'tandem.v1' });
    if (!('socket' in answer)) throw new Error(`refused with ${answer.status}`);
    answer.socket.on('error', () => {});
    return answer.socket;
  }

  /** Of the server's process, where the system tells. */
  function residentBytes(): number {
    const status = readFileSync(`/proc/${run.child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
  }

  /** A masked binary frame that announces the largest legal message. */
  const announcement = Buffer.from(
    `82ff${BigInt(limits.FRAME_BYTES_MAX).toString(16).padStart(16, '0')}00000000`,
    'hex',
  );

  it.skipIf(!existsSync('/proc/self/status'))(
    'cost no memory before they have opened a session: two hundred stalled frames of the largest size',
    async () => {
      const before = residentBytes();
      const sockets = await Promise.all(Array.from({ length: 200 }, socket));
      const closed = sockets.map(gone);
      for (const peer of sockets) {
        peer.write(announcement);
        peer.write(Buffer.alloc(256 * 1024));
      }
      await Promise.all(closed);
      expect(residentBytes() - before).toBeLessThan(32 * 2 ** 20);
    },
  );

  it('are gone within seconds when they never finish their headers', async () => {
    const startedMs = performance.now();
    const sockets = Array.from({ length: 50 }, () => connect(port, '127.0.0.1'));
    await Promise.all(
      sockets.map(async (peer) => {
        peer.on('error', () => {});
        await once(peer, 'connect');
        peer.write('GET /v1/sessions/aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\nX-Drip: ');
        peer.resume();
        await gone(peer);
      }),
    );
    expect(performance.now() - startedMs).toBeLessThan(2 * limits.HTTP_HEADERS_TIMEOUT_MS);
  });
});

/** Closed, in whatever way. */
function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
