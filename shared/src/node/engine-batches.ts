import type { StageBatches, StageModelSource } from '../engine/chain-engine.js';
import type { BatchInfo } from '../engine/engine.js';
import type { Format } from '../model/format.js';
import { onFirstUse } from '../platform/on-first-use.js';
import { givesSameBits } from './batch-check.js';
import { type Bundle, loadStageBatch } from './bundle.js';
import { firstLine } from './node-device.js';
import type { SessionOptions } from './onnxruntime.js';

export interface EngineBatchesOptions {
  bundle: Bundle;
  format: Format;
  session: SessionOptions;
  slots: number;
  stageModel: StageModelSource;
}

/** What goes into an engine's info, and its batches, if any. */
export interface EngineBatches {
  batch?: BatchInfo;
  batches?: StageBatches;
}

/**
 * Loads the batch of the deepest stage, which every session of a server runs, and checks it. The other stages' are loaded by
 * the first step that needs them.
 */
export async function openBatches(options: EngineBatchesOptions): Promise<EngineBatches> {
  const { bundle, format, session, slots } = options;
  if (slots === 1) return {};
  if ((session.device ?? 'cpu') !== 'cpu') return alone('on a GPU sessions run one by one');
  const deepest = bundle.manifest.stages.length - 1;
  const neededBytes = LOAD_FACTOR * (bundle.manifest.stages[deepest]!.files[format]?.bytes ?? 0);
  const freeBytes = process.availableMemory();
  if (freeBytes < neededBytes) return alone(`loading takes ${mib(neededBytes)} MiB, ${mib(freeBytes)} are free`);
  const loaded: number[] = [];
  const load = onFirstUse((index) => {
    loaded.push(index);
    return loadStageBatch(bundle, index, format, slots, session);
  });
  const batch = await load(deepest).catch((error: Error) => error);
  if (batch instanceof Error) return alone(`the graph cannot be changed: ${firstLine(batch)}`);
  if (!batch) return alone('the weights lie in a file of their own');
  const { contextLength, stages } = bundle.manifest;
  const check = { model: await options.stageModel(deepest), input: stages[deepest]!.input, contextLength };
  if (!(await givesSameBits(batch, check))) {
    await batch.dispose();
    return alone('rows of several sessions change bits of each other on this processor');
  }
  const batches: StageBatches = {
    of: (index) => load(index).catch(() => undefined),
    async dispose() {
      for (const index of loaded) await (await batches.of(index))?.dispose();
    },
  };
  return { batch: { slots, from: { singles: 2, verifies: 2 }, why: 'asked for' }, batches };
}

/** Memory that loading takes for a while, as a multiple of the file: the file, the graph made of it, the runtime's own weights. */
const LOAD_FACTOR = 4;

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** One session a step, because of something. */
function alone(why: string): EngineBatches {
  return { batch: { slots: 1, from: { singles: 2, verifies: 2 }, why } };
}
