/** The page of `bench browser`: everything here runs in Chromium, what it returns is plain data. */
import { EdgeModel } from '@tandem/edge';
import { configureWasmRuntime, WASM_SESSION_OPTIONS } from '@tandem/edge/testing';
import {
  createOnnxStageModel,
  type Manifest,
  type OnnxRuntime,
  onnxStageShape,
  type Stage,
  seededRandom,
} from '@tandem/shared';

export interface StepRow {
  backend: string;
  context: number;
  /** One row through the stage as the SDK runs it. */
  stepMs: number;
  /** The same layers and weights with a growing KV cache that is fetched after every step and fed again. */
  fetchedAnewMs: number;
}

export interface StepOptions {
  contexts: number[];
  repetitions: number;
  warmUps: number;
}

/** Both ways on the same page, in turn, so that what else the machine does disturbs both. */
async function measureSteps({ contexts, repetitions, warmUps }: StepOptions): Promise<StepRow[]> {
  const runtime = configureWasmRuntime({ runtimeUrl: undefined, threads: 1 });
  const manifest = (await (await fetch('random/manifest.json')).json()) as Manifest;
  const session = await loadSession(runtime, `random/${manifest.stages[0]!.files.f16!.file}`);
  const fetched = await loadSession(runtime, 'random/fetched.onnx');
  const model = await createOnnxStageModel(runtime, session, onnxStageShape(manifest, 0));
  const stage = model.open(manifest.contextLength);
  const rows: StepRow[] = [];
  for (const context of contexts) {
    await fill(stage, context, manifest.vocabularySize);
    const growing = new GrowingCache(runtime, fetched, manifest);
    const samples: { stepMs: number[]; fetchedAnewMs: number[] } = { stepMs: [], fetchedAnewMs: [] };
    for (let i = 0; i < warmUps + repetitions; i++) {
      stage.truncate(context);
      const input = { kind: 'tokens' as const, tokens: Int32Array.of(7) };
      const stepMs = await time(() => stage.forward(input, new Int32Array(0)));
      growing.reset(context);
      const fetchedAnewMs = await time(() => growing.step());
      if (i < warmUps) continue;
      samples.stepMs.push(stepMs);
      samples.fetchedAnewMs.push(fetchedAnewMs);
    }
    const backend = `wasm f16, ${model.rowsPerRun} rows per run`;
    rows.push({ backend, context, stepMs: median(samples.stepMs), fetchedAnewMs: median(samples.fetchedAnewMs) });
  }
  return rows;
}

async function loadSession(runtime: OnnxRuntime, url: string) {
  const content = new Uint8Array(await (await fetch(url)).arrayBuffer());
  return await runtime.InferenceSession.create(content, WASM_SESSION_OPTIONS);
}

/** Real keys and values, because memory that was never written is quicker to read. */
async function fill(stage: Stage, length: number, vocabularySize: number): Promise<void> {
  const random = seededRandom(length);
  stage.truncate(Math.min(stage.length, length));
  while (stage.length < length) {
    const count = Math.min(length - stage.length, 64);
    const tokens = Int32Array.from({ length: count }, () => Math.floor(random.next() * vocabularySize));
    await stage.forward({ kind: 'tokens', tokens }, new Int32Array(0));
  }
}

type Session = Awaited<ReturnType<typeof loadSession>>;
type Feeds = Parameters<Session['run']>[0];

/** The cache as most JavaScript keeps it: what one step gives is what the next one takes. */
class GrowingCache {
  readonly #runtime: OnnxRuntime;
  readonly #session: Session;
  readonly #manifest: Manifest;
  readonly #layers: number;
  #feeds: Feeds = {};

  constructor(runtime: OnnxRuntime, session: Session, manifest: Manifest) {
    this.#runtime = runtime;
    this.#session = session;
    this.#manifest = manifest;
    this.#layers = manifest.cut;
  }

  reset(past: number): void {
    const { Tensor } = this.#runtime;
    const { kvHeads, headDim, width } = this.#manifest;
    const feeds: Record<string, InstanceType<typeof Tensor>> = {
      rows: new Tensor('float32', new Float32Array(width).fill(0.5), [1, 1, width]),
      seqlens_k: new Tensor('int32', Int32Array.of(past), [1]),
      total: new Tensor('int32', Int32Array.of(past + 1), []),
    };
    for (let layer = 0; layer < this.#layers; layer++) {
      for (const kind of ['key', 'value']) {
        const data = new Float32Array(kvHeads * past * headDim).fill(0.1);
        feeds[`past_${kind}.${layer}`] = new Tensor('float32', data, [1, kvHeads, past, headDim]);
      }
    }
    this.#feeds = feeds;
  }

  async step(): Promise<void> {
    await this.#session.run(this.#feeds);
  }
}

let model: EdgeModel | undefined;

/** From nothing to the first token, on the device alone. */
async function loadToFirstToken(): Promise<number> {
  return await time(async () => {
    model = await EdgeModel.load('tales');
    const session = await model.createSession({ mode: 'device-only' });
    await session.generate('Once upon a time', { maxOutputTokens: 1 });
    await session.dispose();
  });
}

async function tell(cloudUrl: string, maxOutputTokens: number): Promise<number> {
  const session = await model!.createSession({ cloud: { url: cloudUrl } });
  const story = session.generate('Once upon a time', { maxOutputTokens, temperature: 0.8, seed: 3 });
  for await (const part of story) document.body.append(part.text);
  const { tokens } = await story;
  await session.dispose();
  return tokens.length;
}

async function cycle(count: number): Promise<void> {
  await model?.dispose();
  for (let i = 0; i < count; i++) await (await EdgeModel.load('tales')).dispose();
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

const actions = { measureSteps, loadToFirstToken, tell, cycle };
export type BenchActions = typeof actions;
Object.assign(globalThis, { bench: actions });
