import type { BatchInfo, Clock, Manifest } from '@tandem/shared';
import type { ContextCache } from '../context/context-cache.js';
import { kvBytesPerPosition } from '../context/kv-bytes.js';
import type { Log } from '../log.js';
import { contextBudget, type DeviceMemory, measureDeviceMemory } from '../scheduler/memory-probe.js';
import type { StepRunner } from '../scheduler/step-runner.js';

/** What is known of the engines once they have started. */
export interface EngineFigures {
  backend: string | undefined;
  batch: BatchInfo | undefined;
  deviceMemory: DeviceMemory | undefined;
}

export interface EngineFiguresOptions {
  runner: StepRunner;
  /** Its budget becomes what the device has, where that is less. */
  cache: ContextCache;
  manifest: Manifest;
  clock: Clock;
  log: Log;
}

/** Measures the engines before the first session, and says what came out. */
export async function measureEngines(options: EngineFiguresOptions): Promise<EngineFigures> {
  const deviceMemory = await boundByDevice(options);
  const { backend, batch } = options.runner.info;
  tellBatch(options.log, backend, batch);
  return { backend, batch, deviceMemory };
}

function tellBatch(log: Log, backend: string | undefined, batch: BatchInfo | undefined): void {
  const { slots = 1, why = 'asked for', from, gain } = batch ?? {};
  const gains = gain && { gainSingles: gain.singles, gainVerifies: gain.verifies };
  if (!from || slots === 1) return log.info({ backend, why, ...gains }, 'the engine runs one session a step');
  const figures = { backend, slots, why, ...gains, fromSingles: from.singles, fromVerifies: from.verifies };
  log.info(figures, 'the engine runs steps of several sessions as one');
}

async function boundByDevice({ runner, cache, manifest, clock, log }: EngineFiguresOptions) {
  const askedBytes = cache.budgetBytes;
  const bytesPerPosition = kvBytesPerPosition(manifest)('rows');
  const memory = await measureDeviceMemory({ runner, clock, bytesMax: askedBytes, bytesPerPosition });
  if (!memory) return undefined;
  cache.budgetBytes = contextBudget(askedBytes, memory, runner.info.device);
  const figures = { ...memory, askedBytes, budgetBytes: cache.budgetBytes };
  if (memory.end === 'asked') log.info(figures, 'the GPU has the memory that was asked for');
  else if (memory.end === 'time') log.warn(figures, 'the GPU was too slow to try out all that was asked for');
  else log.warn(figures, 'the GPU has no memory for all that was asked for');
  return memory;
}
