import { Worker } from 'node:worker_threads';
import type { ModelWorker } from '../platform.js';

/** A folder, wherever it is named. */
export function addressFromHere(source: string): string {
  return source;
}

/** Of browsers only: Node never asks for them. */
export async function startSharedHost(): Promise<ModelWorker> {
  throw new Error('there are no tabs here');
}

export function whileConnecting<Result>(action: () => Promise<Result>): Promise<Result> {
  return action();
}

export { downloadModel as fetchModel } from './platform.js';

/** A worker thread; the engine has one of its own in it. */
export function startModelHost(_script?: string): ModelWorker {
  const worker = new Worker(new URL('../host/host-main.js', import.meta.url), { stdout: false });
  return {
    target: worker,
    hold: (isBusy) => (isBusy ? worker.ref() : worker.unref()),
    terminate: async () => void (await worker.terminate()),
  };
}
