/**
 * Which weight format for which backend? The embedded model in every format, on onnxruntime-node and on onnxruntime-web's
 * WebAssembly (one thread each, this process): one token through all stages, 64 at once, and how often the model still
 * chooses the token of f32 on onnxruntime-node, on texts that it tells itself.
 */
import { fileURLToPath } from 'node:url';
import { configureWasmRuntime, WASM_SESSION_OPTIONS } from '@tandem/edge/testing';
import { cachedBundle, type ToldText, tellTexts } from '@tandem/model-kit';
import {
  argmax,
  createOnnxStageModel,
  FORMATS,
  type Format,
  onnxStageShape,
  StageChain,
  type StageModel,
} from '@tandem/shared';
import { type Bundle, loadChainEngine, loadStage, openBundle } from '@tandem/shared/node';
import { currentCommit, describeMachine, formatColumns, roundMs } from './report.js';

const EMBEDDED = fileURLToPath(new URL('../../models/tales', import.meta.url));
const SEED = 3;
const CONTEXT_TOKENS = 64;
const MANY_ROWS = 64;
const REPEATS = { one: 200, many: 40 };

interface FormatRow {
  backend: string;
  format: Format;
  bytes: number;
  /** One token through all stages, the fastest of some repeats. */
  stepMs: number;
  /** The same of 64 at once. */
  manyRowsMs: number;
  /** Share of positions with the choice of f32 on onnxruntime-node. */
  agreement: number;
}

type LoadStage = (bundle: Bundle, index: number, format: Format) => Promise<StageModel>;

const BACKENDS: [name: string, load: LoadStage][] = [
  ['onnxruntime-node', (bundle, index, format) => loadStage(bundle, index, format, { threads: 1 })],
  ['onnxruntime-web, WASM', loadWasmStage],
];

export async function benchFormats({ json, tokens }: { json?: boolean; tokens: number }): Promise<void> {
  const directory = await cachedBundle(EMBEDDED, { formats: ['q8', 'f32', 'f16', 'q4'] });
  const bundle = await openBundle(directory);
  const texts = await tell(directory, tokens);
  const rows: FormatRow[] = [];
  let reference: number[] | undefined;
  for (const [backend, load] of BACKENDS) {
    for (const format of FORMATS) {
      const models: StageModel[] = [];
      for (const index of bundle.manifest.stages.keys()) models.push(await load(bundle, index, format));
      const times = await timeSteps(models);
      const choices = await chooseAll(models, texts);
      reference ??= choices;
      const equal = choices.filter((token, i) => token === reference![i]).length;
      const bytes = bundle.manifest.stages.reduce((sum, { files }) => sum + files[format]!.bytes, 0);
      rows.push({ backend, format, bytes, ...times, agreement: equal / choices.length });
      for (const model of models) await model.dispose();
    }
  }
  if (!json) console.log(describe(rows));
  const place = { machine: describeMachine(), commit: currentCommit(), seed: SEED };
  console.log(JSON.stringify({ bench: 'formats', rows, tokens, ...place }));
}

async function loadWasmStage(bundle: Bundle, index: number, format: Format): Promise<StageModel> {
  const runtime = configureWasmRuntime({ runtimeUrl: undefined, threads: 1 });
  const content = await bundle.readVerified(bundle.manifest.stages[index]!.files[format]!);
  const session = await runtime.InferenceSession.create(content, WASM_SESSION_OPTIONS);
  return await createOnnxStageModel(runtime, session, onnxStageShape(bundle.manifest, index));
}

async function tell(directory: string, tokens: number): Promise<ToldText[]> {
  const engine = await loadChainEngine({ directory, format: 'f32', threads: 1, preload: 'all' });
  try {
    const { manifest } = await openBundle(directory);
    return await tellTexts(engine, manifest, { texts: Math.ceil(tokens / 50), tokens: 50, seed: SEED, codec: 'f32' });
  } finally {
    await engine.dispose();
  }
}

async function timeSteps(models: readonly StageModel[]): Promise<{ stepMs: number; manyRowsMs: number }> {
  const chain = open(models);
  chain.append({ kind: 'tokens', tokens: new Int32Array(CONTEXT_TOKENS).fill(5) });
  await chain.run(models.length, []);
  const time = async (rows: number, repeats: number) => {
    const times: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      const startedMs = performance.now();
      chain.append({ kind: 'tokens', tokens: new Int32Array(rows).fill(7) });
      await chain.run(models.length, [CONTEXT_TOKENS + rows - 1]);
      times.push(performance.now() - startedMs);
      chain.truncate(CONTEXT_TOKENS);
    }
    // The fastest: what else the machine did in between is no property of a format.
    return roundMs(Math.min(...times));
  };
  const times = { stepMs: await time(1, REPEATS.one), manyRowsMs: await time(MANY_ROWS, REPEATS.many) };
  chain.dispose();
  return times;
}

async function chooseAll(models: readonly StageModel[], texts: readonly ToldText[]): Promise<number[]> {
  const { vocabularySize } = models.at(-1)!;
  const choices: number[] = [];
  for (const { tokens, first } of texts) {
    const chain = open(models);
    chain.append({ kind: 'tokens', tokens: Int32Array.from(tokens) });
    const want = [...tokens.keys()].slice(first);
    const { logits } = await chain.run(models.length, want);
    for (const row of want.keys())
      choices.push(argmax(logits.subarray(row * vocabularySize, (row + 1) * vocabularySize)));
    chain.dispose();
  }
  return choices;
}

function open(models: readonly StageModel[]): StageChain {
  return new StageChain(
    models.map((model) => model.open(CONTEXT_TOKENS + MANY_ROWS)),
    models[0]!.width,
  );
}

function describe(rows: readonly FormatRow[]): string {
  const lines = rows.map(({ backend, format, bytes, stepMs, manyRowsMs, agreement }) => [
    backend,
    format,
    `${(bytes / 1e6).toFixed(1)} MB`,
    stepMs.toFixed(2),
    manyRowsMs.toFixed(1),
    `${(100 * agreement).toFixed(2)} %`,
  ]);
  return formatColumns([['backend', 'format', 'size', 'one token, ms', '64 tokens, ms', 'same choice'], ...lines]);
}
