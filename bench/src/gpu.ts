/**
 * What does a GPU gain?
 *
 * One row, and sixteen, through a stage of 12 layers, width 768, random f16 weights, behind a few contexts: on the processor, on
 * CUDA, where keys and values go up with every step, and on WebGPU, where they stay. What does not start here is named with its reason.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { prepareBundle } from '@tandem/model-kit';
import { type Stage, type StageModel, seededRandom, TandemError } from '@tandem/shared';
import { type Bundle, chooseDevice, loadStage, openBundle } from '@tandem/shared/node';
import { randomCheckpoint, wideShape } from './random-model.js';
import { currentCommit, describeMachine, formatColumns, median, roundMs } from './report.js';

const DEVICES = ['cpu', 'cuda', 'webgpu'] as const;
const FORMAT = 'f16';
const LAYERS = 12;
const SHAPE = wideShape(LAYERS, 2048 + 64);
const CACHE = join(dirname(fileURLToPath(import.meta.url)), '../../.cache/bench-gpu');
const ROWS = 16;

export interface GpuBenchOptions {
  json?: boolean;
  contexts: string;
  repetitions: string;
}

interface GpuRow {
  device: string;
  context: number;
  stepMs: number;
  /** Sixteen rows at once. */
  manyMs: number;
}

export async function benchGpu({ json, contexts, repetitions }: GpuBenchOptions): Promise<void> {
  const say = json ? () => {} : console.log;
  const lengths = contexts.split(',').map(Number);
  if (!lengths.every((length) => Number.isInteger(length) && length > 0 && length <= 2048)) {
    throw new TandemError('INVALID_OPTION', `--contexts ${contexts}; name whole numbers up to 2048, with commas`);
  }
  const folder = join(CACHE, `bundle-${FORMAT}`);
  await mkdir(CACHE, { recursive: true });
  if (!existsSync(folder)) {
    await prepareBundle({ checkpoint: randomCheckpoint(SHAPE), cut: LAYERS, formats: [FORMAT], out: folder });
  }
  const bundle = await openBundle(folder);
  const backends: string[] = [];
  const rows: GpuRow[] = [];
  for (const device of DEVICES) {
    const choice = await chooseDevice(device);
    backends.push(choice.backend);
    if (choice.device === device) rows.push(...(await measureDevice(bundle, device, lengths, Number(repetitions))));
  }
  say(`${LAYERS} layers, width ${SHAPE.width}, ${FORMAT} weights; medians, milliseconds.\n`);
  say(
    formatColumns([
      ['device', 'context', 'one row', `${ROWS} rows`],
      ...rows.map(({ device, context, stepMs, manyMs }) => [device, String(context), String(stepMs), String(manyMs)]),
    ]),
  );
  say(`\n${backends.join('\n')}`);
  const machine = `${describeMachine()}, GPU: ${await gpuName()}`;
  console.log(JSON.stringify({ bench: 'gpu', format: FORMAT, rows, backends, machine, commit: currentCommit() }));
}

async function measureDevice(
  bundle: Bundle,
  device: (typeof DEVICES)[number],
  contexts: readonly number[],
  repetitions: number,
): Promise<GpuRow[]> {
  const model = await loadStage(bundle, 0, FORMAT, { device });
  const rows: GpuRow[] = [];
  for (const context of contexts) rows.push(await measureContext(model, device, context, repetitions));
  await model.dispose();
  return rows;
}

async function measureContext(
  model: StageModel,
  device: string,
  context: number,
  repetitions: number,
): Promise<GpuRow> {
  const stage = model.open(SHAPE.contextLength);
  await forward(stage, context);
  const time = async (count: number) => {
    stage.truncate(context);
    const startMs = performance.now();
    await forward(stage, count);
    return performance.now() - startMs;
  };
  const samples: { one: number[]; many: number[] } = { one: [], many: [] };
  // The first compiles what the others use.
  await time(1);
  await time(ROWS);
  for (let i = 0; i < repetitions; i++) {
    samples.one.push(await time(1));
    samples.many.push(await time(ROWS));
  }
  stage.dispose();
  return { device, context, stepMs: roundMs(median(samples.one)), manyMs: roundMs(median(samples.many)) };
}

async function forward(stage: Stage, count: number): Promise<void> {
  const random = seededRandom(stage.length);
  const tokens = Int32Array.from({ length: count }, () => Math.floor(random.next() * SHAPE.vocabularySize));
  await stage.forward({ kind: 'tokens', tokens }, new Int32Array(0));
}

/** By NVIDIA's tool; there is no way to ask the runtime. */
async function gpuName(): Promise<string> {
  const query = ['--query-gpu=name,driver_version', '--format=csv,noheader'];
  return promisify(execFile)('nvidia-smi', query).then(
    ({ stdout }) => stdout.trim(),
    () => 'none that nvidia-smi knows',
  );
}
