/**
 * How many readers does a server serve, split and unsplit?
 *
 * Readers take a token every 100 ms. `exact`: sessions of the SDK, recorded over a simulated 4g link, a verify of a few drafts
 * a forward; `cloud-only`: stories of the same length from token ids, one token a forward. The device's half is not run: it
 * would take the cores of the server that is measured. The headline is the ratio of sessions at which the 99th percentile of
 * an answer (queue and engine, without the network) still stays at or below 50 ms.
 *
 * In virtual time (default) every recorded step is run alone on the real engine, one thread, the quickest of nine, and the readers
 * meet in the server's own scheduler under a clock that moves by these times: what else the machine does cannot show. In real
 * time (`--clock both`) readers, server and engine are three processes on this machine, each load the better of two tries.
 *
 * `--real` puts a witness beside the virtual figures: 8 and 32 readers on real sockets, in both modes, each load the better of two tries, and
 * engine time per token as both clocks tell it. Neither mode is at its end at 32 readers, so it is the ratio of what a token costs.
 *
 * The engine decides as ever whether it runs steps of several sessions as one (docs/decisions/0061); the table and the headline are of
 * what it decided. Beside it stand the sessions served one by one and several at once, since that helps single tokens more than
 * verifies: the ratio is one of this server and not of splitting as such. What several at once take was measured with all slots taken,
 * with a row and with seven each, and lies on a line between. In real time sessions are served one by one.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EdgeModel } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { type BatchInfo, limits } from '@tandem/shared';
import { currentCommit, describeMachine, roundMs } from '../report.js';
import { type MeasuredBatch, timeBatches } from './batch-times.js';
import { findCapacity } from './capacity.js';
import { runLoad } from './load.js';
import { type Recording, recordCloudOnly, recordExact } from './recording.js';
import { ServerChild } from './server-child.js';
import {
  formatServerRows,
  type Measure,
  type ServerClock,
  type ServerMode,
  type ServerRow,
  serverRow,
} from './server-row.js';
import { type TimedStory, timeStories } from './step-times.js';
import { runVirtualLoad, VIRTUAL_COUNTED_S } from './virtual-load.js';
import { formatTokenCosts, tokenCosts, witnessRows } from './witness.js';

const TALES = fileURLToPath(new URL('../../../models/tales', import.meta.url));
const FORMAT = 'q8';
const SESSIONS = [1, 8, 32, 128];
const MODES = ['exact', 'cloud-only'] as const;
const THINK_MS_PER_TOKEN = 100;
const P99_MS = 50;
const STORIES = 12;
const RAMP_MS = 3_000;
const SESSIONS_MAX = 1_024;
/** Readers that the memory of a session is taken from. */
const MEMORY_SESSIONS = 8;

type Recordings = Record<ServerMode, Recording[]>;
type Bytes = Record<ServerMode, { hot: number; rows: number }>;

export async function benchServer(options: {
  json?: boolean;
  seconds?: number;
  clock?: ServerClock | 'both';
  real?: boolean;
}): Promise<void> {
  const say = options.json ? () => {} : console.log;
  const seconds = options.seconds ?? 8;
  say(`Readers of a token every ${THINK_MS_PER_TOKEN} ms, ${FORMAT} weights, one engine of one thread.\n`);
  const bundle = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f32', 'q8'] });
  const server = await ServerChild.start(bundle, FORMAT);
  const recordings = await record(bundle, server);
  const bytes = {
    exact: await sessionBytes(server, recordings.exact),
    'cloud-only': await sessionBytes(server, recordings['cloud-only']),
  };
  const inReal = inRealTime(server, recordings, bytes, 1_000 * seconds);
  const rows: ServerRow[] = [];
  const ratios: Partial<Record<ServerClock, Ratio>> = {};
  const asked = options.clock ?? 'virtual';
  const batches: Partial<Batches> = {};
  if (asked !== 'real') {
    const stories = await timed(bundle, recordings);
    const decided = await timeBatches(bundle, FORMAT, 'auto');
    const together = decided ?? (await timeBatches(bundle, FORMAT, limits.BATCH_SLOTS));
    const measure = inVirtualTime(stories, bytes, decided);
    const measured = await table(measure);
    rows.push(...measured);
    ratios.virtual = await compare(measured, measure);
    batches.decided = decided?.info ?? 'one session a step';
    batches.alone = decided ? await capacities(inVirtualTime(stories, bytes, undefined)) : ratios.virtual;
    batches.together = decided ? ratios.virtual : await capacities(inVirtualTime(stories, bytes, together));
  }
  if (asked !== 'virtual') {
    const measured = await table(inReal);
    rows.push(...measured);
    ratios.real = await compare(measured, inReal);
  }
  if (options.real && asked === 'virtual') rows.push(...(await witnessRows(inReal)));
  await server.close();
  say(formatServerRows(rows));
  const costRatios = options.real ? tokenCosts(rows) : [];
  say(formatTokenCosts(costRatios));
  say(formatBatches(batches));
  const headline = { ...(ratios.virtual ?? ratios.real), p99Ms: P99_MS };
  const real = ratios.virtual && ratios.real ? { real: ratios.real } : {};
  const place = { machine: describeMachine(), commit: currentCommit() };
  const witness = options.real ? { costRatios } : {};
  console.log(JSON.stringify({ bench: 'server', headline, ...real, ...witness, batches, rows, ...place }));
}

async function table(measure: Measure): Promise<ServerRow[]> {
  const rows: ServerRow[] = [];
  for (const sessions of SESSIONS) for (const mode of MODES) rows.push(await measure(mode, sessions));
  return rows;
}

interface Ratio {
  sessionsRatio: number;
  exactSessions: number;
  cloudOnlySessions: number;
  /** Nothing larger was tried for one of them: the ratio is a bound then. */
  isBound: boolean;
}

async function compare(rows: readonly ServerRow[], measure: Measure): Promise<Ratio> {
  const capacity = (mode: ServerMode) => {
    const known = rows.filter((row) => row.mode === mode);
    return findCapacity(known, P99_MS, SESSIONS_MAX, (sessions) => measure(mode, sessions));
  };
  const [exact, cloudOnly] = [await capacity('exact'), await capacity('cloud-only')];
  return {
    sessionsRatio: roundMs(exact.sessions / cloudOnly.sessions),
    exactSessions: exact.sessions,
    cloudOnlySessions: cloudOnly.sessions,
    isBound: exact.isBound || cloudOnly.isBound,
  };
}

/** Sessions served as the engine decided, one by one, and several at once. */
interface Batches {
  decided: BatchInfo | string;
  alone: Ratio;
  together: Ratio;
}

function formatBatches({ decided, alone, together }: Partial<Batches>): string {
  if (!alone || !together) return '';
  const line = (name: string, { exactSessions, cloudOnlySessions, sessionsRatio }: Ratio) =>
    `  ${name}: ${exactSessions} exact, ${cloudOnlySessions} cloud-only, ratio ${sessionsRatio}`;
  const title = `Sessions served with a 99th percentile of ${P99_MS} ms (the engine decided: ${JSON.stringify(decided)})`;
  return [title, line('one session a step', alone), line('several', together), ''].join('\n');
}

async function capacities(measure: Measure): Promise<Ratio> {
  return await compare(await table(measure), measure);
}

async function timed(bundle: string, recordings: Recordings): Promise<Record<ServerMode, TimedStory[]>> {
  const stories = await timeStories(bundle, FORMAT, [...recordings.exact, ...recordings['cloud-only']]);
  return { exact: stories.slice(0, STORIES), 'cloud-only': stories.slice(STORIES) };
}

function inVirtualTime(
  stories: Record<ServerMode, TimedStory[]>,
  bytes: Bytes,
  batch: MeasuredBatch | undefined,
): Measure {
  return async (mode, sessions) => {
    const runs = batch && { info: batch.info, times: batch[mode] };
    const figures = await runVirtualLoad(stories[mode], sessions, THINK_MS_PER_TOKEN, runs);
    const base = { clock: 'virtual', mode, sessions, seconds: VIRTUAL_COUNTED_S, bytes: bytes[mode] } as const;
    return serverRow(base, figures);
  };
}

function inRealTime(server: ServerChild, recordings: Recordings, bytes: Bytes, durationMs: number): Measure {
  return async (mode, sessions) => {
    const readers = { sessions, recordings: recordings[mode], thinkMsPerToken: THINK_MS_PER_TOKEN };
    const figures = await runLoad({ url: server.url, ...readers, rampMs: RAMP_MS, durationMs });
    return serverRow({ clock: 'real', mode, sessions, seconds: durationMs / 1_000, bytes: bytes[mode] }, figures);
  };
}

async function record(bundle: string, server: ServerChild): Promise<Recordings> {
  const openings = readFileSync(`${TALES}/openings.txt`, 'utf8').trim().split('\n').slice(0, STORIES);
  const model = await EdgeModel.load(bundle, { format: FORMAT, threads: 1 });
  const recordings: Recordings = { exact: [], 'cloud-only': [] };
  for (const [seed, opening] of openings.entries()) {
    const recording = await recordExact(model, server.url, opening, seed);
    const prompt = model.tokenizer.encode(opening);
    const tokens = [...prompt, ...Array.from({ length: recording.tokens }, (_, index) => 3 + index)];
    recordings.exact.push(recording);
    const { vocabularySize } = model.manifest;
    recordings['cloud-only'].push(recordCloudOnly(recording, tokens, prompt.length, vocabularySize));
  }
  await model.dispose();
  return recordings;
}

/** What a session holds in the middle of its story. */
async function sessionBytes(server: ServerChild, recordings: readonly Recording[]) {
  const readers = { sessions: MEMORY_SESSIONS, recordings, thinkMsPerToken: 20 };
  const running = runLoad({ url: server.url, ...readers, rampMs: 100, durationMs: 1_000 });
  await new Promise<void>((resolve) => setTimeout(resolve, 800));
  const { hot, rows } = await server.contextBytes();
  await running;
  return { hot: hot / MEMORY_SESSIONS, rows: rows / MEMORY_SESSIONS };
}
