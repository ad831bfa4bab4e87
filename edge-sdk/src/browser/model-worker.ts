import type { ModelWorker } from '../platform.js';

/** A dedicated worker; the engine has one of its own in it. */
export function startModelHost(): ModelWorker {
  // Written out like this, because bundlers look for these very words.
  const worker = new Worker(new URL('./host-worker.js', import.meta.url), { type: 'module', name: 'tandem-model' });
  return { target: worker, hold() {}, terminate: async () => worker.terminate() };
}
