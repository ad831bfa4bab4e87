import type { SmallBundle } from '../support/small-bundle.js';
import { askLast, inParallel, makeStory, openSession } from './load-client.js';
import type { LoadReport } from './load-report.js';
import { type Reading, ServerProcess } from './server-process.js';

const TOKENS = 24;
const BUDGET_MIB_MAX = 32;
const WINDOW_MS = 86_400_000;
const RESUMED = 200;

/**
 * So many sessions that have told something and lost their connection, all kept. Contexts may never take more than their
 * budget, and whoever comes back gets the right token. Control: a budget that is never reached.
 */
export async function loadDetachedSessions(size: number, bundle: SmallBundle): Promise<LoadReport> {
  // Half of what so many contexts take, and for many no more than a fixed sum: whatever is kept, most have to give way.
  const budgetMib = Math.min(BUDGET_MIB_MAX, Math.ceil(size / 128));
  const budget = await leaveBehind(size, bundle, budgetMib);
  const controls = Math.min(size, CONTROL_SESSIONS);
  const unbounded = await leaveBehind(controls, bundle, 4_096);
  const limit = budgetMib * 2 ** 20;
  return {
    test: 'detached',
    size,
    checks: [
      { what: 'context at its most', value: budget.mostBytes, limit, unit: 'bytes' },
      { what: 'sessions that are missing', value: size - budget.last.detached, limit: 0, unit: 'sessions' },
      { what: 'sessions that came back wrong', value: budget.wrong, limit: 0, unit: 'sessions' },
    ],
    control: {
      what: `without a budget, ${controls} sessions`,
      value: unbounded.mostBytes,
      limit,
      unit: 'bytes',
    },
    figures: {
      budgetMib,
      evictions: budget.last.evictions,
      residentBytesPerSession: (budget.last.residentBytes - budget.first.residentBytes) / size,
      resumedWithRows: budget.withRows,
      seconds: budget.seconds,
    },
  };
}

/** KV of 64 positions each: enough to go beyond the budget. */
const CONTROL_SESSIONS = 3_000;

interface Outcome {
  first: Reading;
  last: Reading;
  mostBytes: number;
  wrong: number;
  withRows: number;
  seconds: number;
}

async function leaveBehind(size: number, bundle: SmallBundle, budgetMib: number): Promise<Outcome> {
  const flags = [
    '--context-mib',
    `${budgetMib}`,
    '--resume-window-ms',
    `${WINDOW_MS}`,
    '--sessions-max',
    `${size + 100}`,
  ];
  const server = await ServerProcess.start(bundle.directory, ...flags);
  const story = await makeStory(bundle, TOKENS);
  const startedMs = performance.now();
  const tokens = new Map<number, string>();
  let first: Reading | undefined;
  let mostBytes = 0;
  await inParallel(size, 12, async (index) => {
    const { client, opened } = await openSession(server.url, id(index), bundle);
    await askLast(client, story, 1);
    if (opened.resume) tokens.set(index, opened.resume);
    client.transport.close();
    await client.ended();
    if (index % Math.ceil(size / 100) !== 0) return;
    const reading = await server.read();
    first ??= reading;
    mostBytes = Math.max(mostBytes, reading.hotBytes + reading.rowBytes);
  });
  // A close takes a moment to arrive.
  let last = await server.read();
  for (let tries = 0; last.connected > 0 && tries < 100; tries++) last = await server.read();
  mostBytes = Math.max(mostBytes, last.hotBytes + last.rowBytes);
  const seconds = (performance.now() - startedMs) / 1_000;
  const back = await comeBack(server.url, size, bundle, tokens);
  await server.close();
  return { first: first!, last, mostBytes, seconds, ...back };
}

/** Some of them, evenly spread: the oldest have lost everything, the newest nothing. */
async function comeBack(url: string, size: number, bundle: SmallBundle, tokens: ReadonlyMap<number, string>) {
  const story = await makeStory(bundle, TOKENS);
  let wrong = 0;
  let withRows = 0;
  const step = Math.max(1, Math.floor(size / RESUMED));
  for (let index = 0; index < size; index += step) {
    const resume = tokens.get(index);
    const { client, opened } = await openSession(url, id(index), bundle, { epoch: 2, ...(resume ? { resume } : {}) });
    withRows += Number(opened.length > 0);
    const from = Math.min(opened.length, TOKENS - 1);
    await askLast(client, story, 3, from).catch(() => wrong++);
    client.send('session-close', {});
    client.transport.close();
  }
  return { wrong, withRows };
}

function id(index: number): string {
  return `load-detached-${index}-0123456789`;
}
