/**
 * What does one step cost, and how much of it is ours?
 *
 * A stage of 12 layers, width 768, random 4-bit weights, no head; one row behind 256, 1,024 and 4,096 positions. Three ways
 * in one process, medians: through OnnxStage (masks, feeds, KV rows stored), the bare `session.run` with the
 * very same feeds, and a `GroupQueryAttention` graph whose growing KV cache is fetched anew in every step.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeModel, prepareBundle } from '@tandem/model-kit';
import { createOnnxStageModel, type OnnxRuntime, onnxStageShape, type Stage, seededRandom } from '@tandem/shared';
import { loadOnnxRuntime, onnxSessionOptions, openBundle } from '@tandem/shared/node';
import { buildFetchedGraph } from './fetched-graph.js';
import { randomCheckpoint, wideShape } from './random-model.js';
import { currentCommit, describeMachine, formatColumns, median, roundMs } from './report.js';

const CONTEXTS = [256, 1024, 4096];
const REPETITIONS = 61;
const FETCHED_REPETITIONS = 15;
const WARM_UPS = 3;
const FORMAT = 'q4';
/** Layers of the measured stage. */
const LAYERS = 12;
const SHAPE = wideShape(LAYERS, 4096 + 64);
const CACHE = join(dirname(fileURLToPath(import.meta.url)), '../../.cache/bench-engine');

type Session = Parameters<typeof createOnnxStageModel>[1];
type Feeds = Parameters<Session['run']>[0];

export interface EngineRow {
  context: number;
  /** One step through OnnxStage. */
  sdkMs: number;
  /** Of it, what is spent outside `session.run`: the difference within one step, which other programs disturb least. */
  ownMs: number;
  /** The same `session.run` alone. */
  bareMs: number;
  /** `GroupQueryAttention`, present fetched anew. */
  fetchedMs: number;
}

export async function benchEngine(options: { json?: boolean; threads?: number }): Promise<void> {
  const say = options.json ? () => {} : console.log;
  say(
    `One row through ${LAYERS} layers, width ${SHAPE.width}, ${FORMAT} weights, no head; medians of ${REPETITIONS}, milliseconds.\n`,
  );
  const runtime = await loadOnnxRuntime();
  const sessionOptions = onnxSessionOptions({ threads: options.threads });
  const { bundleFolder, fetchedFile } = await prepareModels();
  const bundle = await openBundle(bundleFolder);
  const session = await runtime.InferenceSession.create(
    join(bundleFolder, bundle.manifest.stages[0]!.files[FORMAT]!.file),
    sessionOptions,
  );
  const fetchedSession = await runtime.InferenceSession.create(fetchedFile, sessionOptions);
  const seen: Seen = { feeds: {}, runMs: 0 };
  const model = await createOnnxStageModel(runtime, watched(session, seen), onnxStageShape(bundle.manifest, 0));
  const stage = model.open(SHAPE.contextLength);
  const rows: EngineRow[] = [];
  for (const context of CONTEXTS) {
    await fill(stage, context);
    rows.push(await measure(runtime, stage, session, fetchedSession, seen, context));
  }
  stage.dispose();
  say(formatTable(rows));
  console.log(
    JSON.stringify({ bench: 'engine', format: FORMAT, rows, machine: describeMachine(), commit: currentCommit() }),
  );
}

/** The two graphs, made on the first run and kept. */
async function prepareModels(): Promise<{ bundleFolder: string; fetchedFile: string }> {
  // The name changes with the file layout, so that an older cache is not taken for a new one.
  const bundleFolder = join(CACHE, `bundle-v2-${FORMAT}`);
  const fetchedFile = join(CACHE, `fetched-v2-${FORMAT}.onnx`);
  const checkpoint = randomCheckpoint(SHAPE);
  await mkdir(CACHE, { recursive: true });
  if (!existsSync(bundleFolder)) await prepareBundle({ checkpoint, cut: LAYERS, formats: [FORMAT], out: bundleFolder });
  if (!existsSync(fetchedFile)) {
    const file = await open(`${fetchedFile}.part`, 'w');
    for await (const piece of encodeModel(buildFetchedGraph(checkpoint, LAYERS, FORMAT), 'fetched'))
      await file.writeFile(piece);
    await file.close();
    await rename(`${fetchedFile}.part`, fetchedFile);
  }
  return { bundleFolder, fetchedFile };
}

/** The last run: its feeds, so that the bare run can be given the same arrays, and its time. */
interface Seen {
  feeds: Feeds;
  runMs: number;
}

function watched(session: Session, seen: Seen): Session {
  const run = async (feeds: Feeds) => {
    const start = performance.now();
    const results = await session.run(feeds);
    seen.runMs = performance.now() - start;
    seen.feeds = feeds;
    return results;
  };
  return Object.create(session, { run: { value: run } }) as Session;
}

/** Real keys and values, because memory that was never written is quicker to read. */
async function fill(stage: Stage, length: number): Promise<void> {
  const random = seededRandom(length);
  while (stage.length < length) {
    const count = Math.min(length - stage.length, 1024);
    const tokens = Int32Array.from({ length: count }, () => Math.floor(random.next() * SHAPE.vocabularySize));
    await stage.forward({ kind: 'tokens', tokens }, new Int32Array(0));
  }
}

async function measure(
  runtime: OnnxRuntime,
  stage: Stage,
  session: Session,
  fetchedSession: Session,
  seen: Seen,
  context: number,
): Promise<EngineRow> {
  const fetchedFeeds = makeFetchedFeeds(runtime, context);
  const tokens = Int32Array.of(7);
  await stage.forward({ kind: 'tokens', tokens }, new Int32Array(0));
  const { feeds } = seen;
  const samples: Record<'sdkMs' | 'ownMs' | 'bareMs' | 'fetchedMs', number[]> = {
    sdkMs: [],
    ownMs: [],
    bareMs: [],
    fetchedMs: [],
  };
  const viaStage = async () => {
    stage.truncate(context);
    const elapsedMs = await time(() => stage.forward({ kind: 'tokens', tokens }, new Int32Array(0)));
    samples.sdkMs.push(elapsedMs);
    samples.ownMs.push(elapsedMs - seen.runMs);
  };
  const bare = async () => {
    samples.bareMs.push(await time(() => session.run(feeds)));
  };
  const fetched = async () => {
    samples.fetchedMs.push(await time(() => fetchedSession.run(fetchedFeeds)));
  };
  // The two to be compared take turns at going first; the fetched runs come after them, because each leaves hundreds of
  // megabytes of garbage and an empty processor cache to whichever run is next.
  await repeated(REPETITIONS, async (i) => {
    for (const way of i % 2 === 0 ? [viaStage, bare] : [bare, viaStage]) await way();
  });
  await repeated(FETCHED_REPETITIONS, fetched);
  const medianOf = (name: keyof typeof samples) => roundMs(median(samples[name].slice(WARM_UPS)));
  return {
    context,
    sdkMs: medianOf('sdkMs'),
    ownMs: medianOf('ownMs'),
    bareMs: medianOf('bareMs'),
    fetchedMs: medianOf('fetchedMs'),
  };
}

function makeFetchedFeeds({ Tensor }: OnnxRuntime, past: number): Feeds {
  const { kvHeads, headDim, width } = SHAPE;
  const feeds: Record<string, InstanceType<typeof Tensor>> = {
    rows: new Tensor('float32', new Float32Array(width).fill(0.5), [1, 1, width]),
    seqlens_k: new Tensor('int32', Int32Array.of(past), [1]),
    total: new Tensor('int32', Int32Array.of(past + 1), []),
  };
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const kind of ['key', 'value']) {
      const data = new Float32Array(kvHeads * past * headDim).fill(0.1);
      feeds[`past_${kind}.${layer}`] = new Tensor('float32', data, [1, kvHeads, past, headDim]);
    }
  }
  return feeds;
}

async function repeated(repetitions: number, work: (i: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < WARM_UPS + repetitions; i++) await work(i);
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function formatTable(rows: EngineRow[]): string {
  const lines = rows.map(({ context, sdkMs, ownMs, bareMs, fetchedMs }) => [
    String(context),
    sdkMs.toFixed(2),
    `${ownMs.toFixed(2)} (${((ownMs / sdkMs) * 100).toFixed(1)} %)`,
    bareMs.toFixed(2),
    fetchedMs.toFixed(2),
    `${(fetchedMs / sdkMs).toFixed(1)} ×`,
  ]);
  return formatColumns([['context', 'Tandem', 'of it ours', 'bare', 'fetched anew', 'ratio'], ...lines]);
}
