import { TandemError } from '@tandem/shared';
import { downloadModel, modelAvailability, openDeviceModel } from '#platform';
import type { PortTarget } from './host/host-port.js';
import type { AnyModel } from './host/model-api.js';
import type { HostedLoadOptions } from './host/remote-model.js';
import { LocalModel, readTextSide } from './local-model.js';
import {
  type DeliveryOptions,
  deliveryOptionsSchema,
  type LoadOptions,
  loadOptionsSchema,
  parseOptions,
} from './options.js';
import type { Availability } from './platform.js';

/**
 * The device's part of a model: tokenizer, shallow stages, exits.
 *
 * ```ts
 * const model = await EdgeModel.load('models/tales/bundle');
 * const session = await model.createSession({ cloud: { url: 'ws://localhost:8787' } });
 * for await (const part of session.generate('Once upon a time')) process.stdout.write(part.text);
 * await model.dispose();
 * ```
 */
export class EdgeModel extends LocalModel {
  /**
   * Whether `load` would work now without the network (`available`), after a download, or not at all. Never throws for a
   * model that is not there.
   *
   * Codes: INVALID_OPTION.
   */
  static async availability(source: string, options: DeliveryOptions = {}): Promise<Availability> {
    return await modelAvailability(source, parseOptions(deliveryOptionsSchema, 'EdgeModel.availability', options));
  }

  /**
   * Browser: fetches the device's half of a bundle and keeps it; what was interrupted goes on where it stopped. In Node,
   * where a bundle is a folder, it is only checked.
   *
   * Codes: INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED, STORAGE_FULL, ABORTED.
   */
  static async download(source: string, options: DeliveryOptions = {}): Promise<void> {
    const parsed = parseOptions(deliveryOptionsSchema, 'EdgeModel.download', options);
    if (parsed.signal?.aborted) throw new TandemError('ABORTED', 'the download was aborted');
    await downloadModel(source, parsed);
  }

  /**
   * Loads a bundle's tokenizer and device stages; every file is checked against its sha256. `source` is a folder in Node,
   * an address in browsers; there, what is not stored yet is downloaded first.
   *
   * `worker: true`: session loop, sampler, connection and engine run in a worker, and the caller's thread only moves text.
   *
   * Codes: INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED, STORAGE_FULL, ENGINE_UNAVAILABLE, ABORTED.
   */
  static load(source: string, options: HostedLoadOptions & { worker: true }): Promise<AnyModel>;
  static load(source: string, options?: LoadOptions): Promise<EdgeModel>;
  static async load(
    source: string,
    options: LoadOptions | (HostedLoadOptions & { worker: true }) = {},
  ): Promise<AnyModel> {
    if (options.worker === true) {
      const { loadInWorker } = await import('./host/remote-model.js');
      const { worker: _, ...rest } = options;
      return await loadInWorker(source, rest);
    }
    const parsed = parseOptions(loadOptionsSchema, 'EdgeModel.load', options);
    const { signal } = parsed;
    if (signal?.aborted) throw new TandemError('ABORTED', 'loading was aborted', { cause: signal.reason });
    const opened = await openDeviceModel(source, parsed);
    return new EdgeModel(opened, await readTextSide(opened));
  }

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
  static async connect(target: PortTarget, source: string, options: HostedLoadOptions = {}): Promise<AnyModel> {
    const { connectModel } = await import('./host/remote-model.js');
    return await connectModel(target, source, options);
  }
}
