import { newId } from '@tandem/shared';
import type { PortTarget } from '../host/host-port.js';
import type { ModelWorker } from '../platform.js';
import { SHARED_WORKER_LOCK } from './shared-lock.js';

export { absolute as addressFromHere } from './address.js';
export { fetchModel } from './platform.js';

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

/**
 * The shared worker of this origin's tabs; its end of the channel counts as gone once the lock is free that this tab holds: when
 * it is closed, when it crashes, or when it needs the model no more.
 *
 * @throws where there is none, or no locks
 */
export async function startSharedHost(): Promise<ModelWorker> {
  if (typeof SharedWorker === 'undefined') throw new Error('this browser has no shared workers');
  const tab = `tandem tab ${newId()}`;
  const letGo = await hold(tab);
  // As above.
  const worker = new SharedWorker(new URL('./shared-worker.js', import.meta.url), {
    type: 'module',
    name: 'tandem-shared',
  });
  const { port } = worker;
  port.postMessage(tab);
  return {
    target: {
      postMessage: (message) => port.postMessage(message),
      // What does not start is told beside the port.
      addEventListener: (name: string, listener: (event: Event) => void) =>
        (name === 'error' ? worker : port).addEventListener(name, listener),
      start: () => port.start(),
    } as PortTarget,
    hold() {},
    async terminate() {
      letGo();
      port.close();
    },
  };
}

/** Runs `action` while the shared worker does not end. */
export function whileConnecting<Result>(action: () => Promise<Result>): Promise<Result> {
  if (!navigator.locks) throw new Error('this page has no locks; it needs https');
  return navigator.locks.request(SHARED_WORKER_LOCK, { mode: 'shared' }, action) as Promise<Result>;
}

/** Resolves with what lets go of the lock. */
function hold(name: string): Promise<() => void> {
  return new Promise((held, failed) => {
    navigator.locks.request(name, () => new Promise<void>((letGo) => held(letGo))).catch(failed);
  });
}
