import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@tandem/shared';
import { runSeeds } from './run-seeds.js';

/** What one worker is to run: every `step`-th seed from `first` on. */
export interface WorkerTask {
  base: string;
  first: number;
  end: number;
  step: number;
  stopsAtFailure: boolean;
  /** No seed is begun later than this. */
  budgetMs: number;
}

const { base, first, end, step, stopsAtFailure, budgetMs } = workerData as WorkerTask;
const startMs = systemClock.now();

function* indices(): Generator<number> {
  for (let index = first; index < end; index += step) yield index;
}

const hasTime = () => systemClock.now() - startMs < budgetMs;
parentPort?.postMessage(await runSeeds(base, indices(), { stopsAtFailure, hasTime }));
