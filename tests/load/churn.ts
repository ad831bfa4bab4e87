import type { SmallBundle } from '../support/small-bundle.js';
import { askLast, inParallel, type LoadStory, makeStory, openSession, pause } from './load-client.js';
import type { LoadReport } from './load-report.js';
import { type Reading, ServerProcess } from './server-process.js';

const TOKENS = 12;
const WINDOW_MS = 500;
const WIDTH = 12;
const LEFT_OPEN = 5;
/** With fewer readings of the heap its garbage is all that they tell. */
const HEAP_PARTS_MIN = 4;

/**
 * So many connections that come, ask something and leave: politely, without a word, or in the middle of a step. When all
 * are gone nothing may be left: no session, no context, no socket, no timer, no file. Control: five that stay.
 */
export async function loadChurn(size: number, bundle: SmallBundle): Promise<LoadReport> {
  const server = await ServerProcess.start(bundle.directory, '--resume-window-ms', `${WINDOW_MS}`);
  const story = await makeStory(bundle, TOKENS);
  // What a server takes once and for all: code, pools, the engine's own connection.
  await cycle(server.url, bundle, story, Math.min(500, size), 'warm');
  const before = await whenQuiet(server);
  const heaps: number[] = [];
  const startedMs = performance.now();
  const parts = Math.min(10, Math.max(2, Math.floor(size / 400)));
  for (let part = 0; part < parts; part++) {
    await cycle(server.url, bundle, story, Math.ceil(size / parts), `part${part}`);
    heaps.push((await whenQuiet(server)).heapBytes);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const after = await whenQuiet(server);
  for (let index = 0; index < LEFT_OPEN; index++) {
    const { client } = await openSession(server.url, `load-stays-${index}-0123456789`, bundle);
    await askLast(client, story, 1);
  }
  const stays = leftovers(await server.read(), before);
  await server.close();
  return {
    test: 'churn',
    size,
    checks: [
      {
        what: 'sessions, sockets, contexts, timers and files left',
        value: leftovers(after, before),
        limit: 0,
        unit: 'things',
      },
      ...(parts < HEAP_PARTS_MIN
        ? []
        : [{ what: 'heap that grows', value: slopeBytes(heaps, size), limit: 100, unit: 'bytes a cycle' }]),
    ],
    control: { what: `the same with ${LEFT_OPEN} that stay`, value: stays, limit: 0, unit: 'things' },
    figures: {
      cyclesPerS: size / seconds,
      residentMib: after.residentBytes / 2 ** 20,
      timers: after.timers,
      files: after.fileDescriptors,
    },
  };
}

async function cycle(url: string, bundle: SmallBundle, story: LoadStory, count: number, name: string): Promise<void> {
  await inParallel(count, WIDTH, async (index) => {
    const { client } = await openSession(url, `load-${name}-${index}-0123456789`, bundle);
    if (index % 4 === 3) {
      // Leaves while the step runs.
      void askLast(client, story, 1).catch(() => {});
    } else await askLast(client, story, 1);
    if (index % 4 === 0) client.send('session-close', {});
    if (index % 4 === 1) client.transport.send(new Uint8Array(20));
    client.transport.close();
    await client.ended();
  });
}

/** Waits until resume windows are over and a collection has had its chance. */
async function whenQuiet(server: ServerProcess): Promise<Reading> {
  await pause(WINDOW_MS + 300);
  let reading = await server.read();
  for (let tries = 0; tries < 20 && reading.connected + reading.detached + reading.sockets > 0; tries++) {
    await pause(100);
    reading = await server.read();
  }
  return reading;
}

function leftovers(now: Reading, before: Reading): number {
  const more = (name: 'timers' | 'fileDescriptors') => Math.max(0, now[name] - before[name]);
  const contexts = Number(now.hotBytes + now.rowBytes > 0);
  return now.connected + now.detached + now.sockets + contexts + more('timers') + more('fileDescriptors');
}

/** Between the least of the first half and the least of the second: garbage that was not collected yet is in neither. */
function slopeBytes(heaps: readonly number[], size: number): number {
  const half = heaps.length >> 1;
  return (Math.min(...heaps.slice(half)) - Math.min(...heaps.slice(0, half))) / (size / 2);
}
