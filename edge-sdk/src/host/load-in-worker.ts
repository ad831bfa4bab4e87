import { TandemError } from '@tandem/shared';
import { addressFromHere, fetchModel, startModelHost, startSharedHost, whileConnecting } from '#model-worker';
import type { ParsedLoadOptions } from '../options.js';
import type { ModelWorker } from '../platform.js';
import { HostChannel } from './host-channel.js';
import { portOf } from './host-port.js';
import type { AnyModel } from './model-api.js';
import { openModel } from './remote-model.js';

/** Why a worker does not come to run the model, which is no failure: somewhere else it does. */
interface Obstacle {
  obstacle: string;
}

/**
 * `EdgeModel.load` where everything is in a worker, its own or that of all tabs. The policy of a page may forbid a worker, its script
 * may be missing, a browser may have none of the kind.
 */
export async function loadInWorker(source: string, options: ParsedLoadOptions): Promise<AnyModel | Obstacle> {
  const { worker } = options;
  if (worker !== 'shared') return await loadInOwnWorker(source, options);
  const shared = await loadInSharedWorker(source, options);
  if (!('obstacle' in shared)) return shared;
  return await loadInOwnWorker(source, options, `not shared by tabs: ${shared.obstacle}`);
}

/** A worker that ends with `dispose`. */
async function loadInOwnWorker(
  source: string,
  { worker, ...options }: ParsedLoadOptions,
  why?: string,
): Promise<AnyModel | Obstacle> {
  const isAddress = (typeof worker === 'string' && worker !== 'shared') || worker instanceof URL;
  const script = isAddress ? addressFromHere(String(worker)) : undefined;
  const start = async () => startModelHost(script);
  const loaded = await loadIn(start, source, { ...options, ...(script === undefined ? {} : { worker: script }) }, why);
  return 'obstacle' in loaded ? { obstacle: `session not in a worker: ${loaded.obstacle}` } : loaded;
}

async function loadInSharedWorker(
  source: string,
  { worker: _, ...options }: ParsedLoadOptions,
): Promise<AnyModel | Obstacle> {
  try {
    return await whileConnecting(async () => {
      // Only a dedicated worker can append to a large file in place.
      if (options.storage !== 'memory') await fetchModel(source, options);
      return await loadIn(startSharedHost, source, options);
    });
  } catch (cause) {
    if (cause instanceof TandemError) throw cause;
    // A browser without locks.
    return { obstacle: String(cause) };
  }
}

async function loadIn(
  start: () => Promise<ModelWorker>,
  source: string,
  { worker, ...options }: ParsedLoadOptions & { worker?: string },
  why?: string,
): Promise<AnyModel | Obstacle> {
  const { runtimeUrl, signal } = options;
  const addresses = {
    ...(worker === undefined ? {} : { worker }),
    ...(runtimeUrl === undefined ? {} : { runtimeUrl: addressFromHere(String(runtimeUrl)) }),
  };
  const aborted = () => new TandemError('ABORTED', 'loading was aborted', { cause: signal?.reason });
  // It may have come while this file was loaded.
  if (signal?.aborted) throw aborted();
  let host: ModelWorker;
  try {
    host = await start();
  } catch (cause) {
    return { obstacle: String(cause) };
  }
  const { port, onLost } = portOf(host.target);
  const channel = new HostChannel(port, (isBusy) => host.hold(isBusy));
  let obstacle: string | undefined;
  onLost((what) => {
    if (!channel.hasHeard) obstacle ??= what;
    channel.lost(new TandemError('ENGINE_FAILED', `the worker of the model is gone: ${what}`));
  });
  // The worker may not be there yet to hear of it.
  const onAbort = () => channel.lost(aborted());
  signal?.addEventListener('abort', onAbort, { once: true });
  const end = () => host.terminate();
  try {
    return await openModel(channel, addressFromHere(source), { ...options, ...addresses }, end, why);
  } catch (error) {
    await host.terminate();
    if (obstacle !== undefined) return { obstacle };
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
