import type { ModelWorker } from '../platform.js';

export { absolute as addressFromHere } from './address.js';

const OPTIONS: WorkerOptions = { type: 'module', name: 'tandem-model' };

/** A dedicated worker; the engine has one of its own in it. `script`: that of the engine where the app names it; this one's is beside it. */
export function startModelHost(script: string | undefined): ModelWorker {
  // Written out like this, because bundlers look for these very words.
  const worker =
    script === undefined
      ? new Worker(new URL('./host-worker.js', import.meta.url), { type: 'module', name: 'tandem-model' })
      : new Worker(new URL('host-worker.js', script), OPTIONS);
  return { target: worker, hold() {}, terminate: async () => worker.terminate() };
}
