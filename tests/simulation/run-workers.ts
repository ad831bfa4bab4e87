import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { NOTHING, type SeedsReport, sum } from './run-seeds.js';
import type { WorkerTask } from './seeds-worker.js';

const WORKER = new URL('./seeds-worker.js', import.meta.url);
const PLANT = fileURLToPath(new URL('./plant-register.js', import.meta.url));

export interface SeedRange {
  base: string;
  first: number;
  count: number;
  budgetMs: number;
}

/** Deals the seeds out to one worker per core. */
export async function runInWorkers({ base, first, count, budgetMs }: SeedRange): Promise<SeedsReport> {
  const workers = Math.min(availableParallelism(), count);
  const end = first + count;
  const reports = await Promise.all(
    Array.from({ length: workers }, (_, number) =>
      runWorker({ base, first: first + number, end, step: workers, stopsAtFailure: false, budgetMs }),
    ),
  );
  return reports.reduce(sum, NOTHING);
}

/** Runs until the bug shows; `found` is the number of seeds that it took. */
export async function runPlanted(name: string, { base, first, count, budgetMs }: SeedRange) {
  const task = { base, first, end: first + count, step: 1, stopsAtFailure: true, budgetMs };
  const { seeds, failures } = await runWorker(task, name);
  return { name, found: failures.length > 0 ? seeds : undefined, what: failures[0]?.what };
}

function runWorker(task: WorkerTask, bug?: string): Promise<SeedsReport> {
  const planted = bug === undefined ? {} : { execArgv: ['--import', PLANT], env: { TANDEM_PLANTED_BUG: bug } };
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { workerData: task, ...planted });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
