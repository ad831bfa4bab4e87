import { TandemError } from '@tandem/shared';
import { downloadModel, isPage, modelAvailability, openDeviceModel } from '#platform';
import type { PortTarget } from './host/host-port.js';
import type { AnyModel } from './host/model-api.js';
import type { HostedLoadOptions } from './host/remote-model.js';
import {
  type DeliveryOptions,
  deliveryOptionsSchema,
  type LoadOptions,
  loadOptionsSchema,
  type ParsedLoadOptions,
  parseOptions,
} from './options.js';
import type { Availability } from './platform.js';

/** A model that was loaded: tokenizer, shallow stages, exits. The same members wherever it runs. */
export type EdgeModel = AnyModel;

/**
 * How an app gets the device's part of a model.
 *
 * ```ts
 * const model = await EdgeModel.load('models/tales/bundle');
 * const session = await model.createSession({ cloud: { url: 'ws://localhost:8787' } });
 * for await (const part of session.generate('Once upon a time')) process.stdout.write(part.text);
 * await model.dispose();
 * ```
 */
export const EdgeModel = {
  /**
   * Whether `load` would work now without the network (`available`), after a download, or not at all. Never throws for a
   * model that is not there.
   *
   * Codes: INVALID_OPTION.
   */
  async availability(source: string, options: DeliveryOptions = {}): Promise<Availability> {
    return await modelAvailability(source, parseOptions(deliveryOptionsSchema, 'EdgeModel.availability', options));
  },

  /**
   * Browser: fetches the device's half of a bundle and keeps it; what was interrupted goes on where it stopped. In Node,
   * where a bundle is a folder, it is only checked.
   *
   * Codes: INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED, STORAGE_FULL, ABORTED.
   */
  async download(source: string, options: DeliveryOptions = {}): Promise<void> {
    const parsed = parseOptions(deliveryOptionsSchema, 'EdgeModel.download', options);
    if (parsed.signal?.aborted) throw new TandemError('ABORTED', 'the download was aborted');
    await downloadModel(source, parsed);
  },

  /**
   * Loads a bundle's tokenizer and device stages; every file is checked against its sha256. `source` is a folder in Node,
   * an address in browsers; there, what is not stored yet is downloaded first.
   *
   * In pages session loop, sampler, connection and engine run in a worker, and the page's thread only moves text; `worker: false`
   * keeps all but the engine on the caller's thread, as in Node, where `worker: true` moves it. `worker: 'shared'`: tabs of one
   * origin share one model, which is freed with the last of them.
   *
   * Codes: INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED, STORAGE_FULL, ENGINE_UNAVAILABLE, ABORTED.
   */
  async load(source: string, options: LoadOptions = {}): Promise<EdgeModel> {
    const parsed = parseOptions(loadOptionsSchema, 'EdgeModel.load', options);
    const { signal, worker } = parsed;
    if (signal?.aborted) throw new TandemError('ABORTED', 'loading was aborted', { cause: signal.reason });
    const isHosted = worker === true || (isPage() && worker !== false && typeof worker !== 'function');
    if (!isHosted) return await loadHere(source, parsed);
    const { loadInWorker } = await import('./host/load-in-worker.js');
    const loaded = await loadInWorker(source, parsed);
    return 'obstacle' in loaded ? await loadHere(source, parsed, loaded.obstacle) : loaded;
  },

  /**
   * Loads a model in a host that the app has started: a worker, a child process, Electron's utility process. There runs
   * `@tandem/edge/host`; `target` is the app's end of the channel. `dispose` frees the model and leaves the process to the app.
   *
   * ```ts
   * const child = fork(fileURLToPath(import.meta.resolve('@tandem/edge/host')), { serialization: 'advanced' });
   * const model = await EdgeModel.connect(child, 'models/tales/bundle');
   * ```
   *
   * Codes: those of `EdgeModel.load`; ENGINE_FAILED once the process is gone.
   */
  async connect(target: PortTarget, source: string, options: HostedLoadOptions = {}): Promise<EdgeModel> {
    const { connectModel } = await import('./host/remote-model.js');
    return await connectModel(target, source, options);
  },
};

/** With the session on this thread. `obstacle`: why it is not in a worker, where it should be. */
async function loadHere(source: string, options: ParsedLoadOptions, obstacle?: string): Promise<EdgeModel> {
  const opened = await openDeviceModel(source, options);
  // A page whose model is in a worker never loads it.
  const { LocalModel } = await import('./local-model.js');
  return await LocalModel.of(opened, obstacle);
}
