import type { Clock, Manifest } from '@tandem/shared';
import type { ContextCache } from '../context/context-cache.js';
import { kvBytesPerPosition } from '../context/kv-bytes.js';
import type { Log } from '../log.js';
import { type BatchingGain, measureBatchingGain } from '../scheduler/batching-probe.js';
import { contextBudget, type DeviceMemory, measureDeviceMemory } from '../scheduler/memory-probe.js';
import type { StepRunner } from '../scheduler/step-runner.js';

/** What is known of the engines once they have started. */
export interface EngineFigures {
  backend: string | undefined;
  batchingGain: BatchingGain | undefined;
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
  const { runner, clock, log } = options;
  const deviceMemory = await boundByDevice(options);
  const { backend } = runner.info;
  const batchingGain = await measureBatchingGain(runner, clock);
  log.info({ backend, ...batchingGain }, 'serving one session a step; at best batching would gain these factors');
  return { backend, batchingGain, deviceMemory };
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
