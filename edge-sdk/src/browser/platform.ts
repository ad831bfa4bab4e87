import { assert, connectEngine, type EnginePort, type Format, fromWireError, TandemError } from '@tandem/shared';
import type {
  Availability,
  DeliveryOptions,
  DeviceModel,
  DeviceModelOptions,
  DeviceWorker,
  RuntimeName,
} from '../platform.js';
import { absolute } from './address.js';
import { type DeviceReport, type DeviceTask, isDeviceReport } from './device-task.js';

export { webSocketConnect } from './web-socket-transport.js';

/** Whether this thread draws: a worker has nobody to keep waiting. */
export function isPage(): boolean {
  return globalThis.document !== undefined;
}

/** Pages and workers hear it from the browser. Returns what ends the listening. */
export function onNetworkBack(listener: () => void): () => void {
  globalThis.addEventListener('online', listener);
  return () => globalThis.removeEventListener('online', listener);
}

/**
 * The bundle is behind an address; storage and stages live in a dedicated worker on onnxruntime-web. A GPU that does not
 * start, or that is lost later, is replaced by WebAssembly.
 */
export async function openDeviceModel(source: string, options: DeviceModelOptions): Promise<DeviceModel> {
  const { device } = options;
  if (device === 'cpu' || device === 'cuda') {
    throw new TandemError(
      'INVALID_OPTION',
      `EdgeModel.load: device ${device} is for Node; browsers have wasm and webgpu`,
    );
  }
  if (device !== 'webgpu') {
    const model = await openInWorker(source, 'wasm', options);
    if (model !== 'prefers-webgpu') return model;
  }
  try {
    return await recovering(source, options, await openAs('webgpu', source, options));
  } catch (error) {
    if (!(error instanceof TandemError) || !GPU_FAILURES.includes(error.code)) throw error;
    return await openOnWasm(source, options, error.message);
  }
}

/** A model on a GPU that goes on in WebAssembly when the GPU is lost. */
async function recovering(source: string, options: DeviceModelOptions, model: DeviceModel): Promise<DeviceModel> {
  // Most pages never need it.
  const { RecoveringEngine } = await import('../engine/recovering-engine.js');
  let { backend } = model;
  const engine = new RecoveringEngine(model.engine, async ({ message }) => {
    // The same weights: the server was told their format.
    const format = model.engine.info.format as Format;
    const { signal: _, onProgress: __, ...rest } = options;
    const next = await openOnWasm(source, { ...rest, format }, `the GPU was lost: ${message}`);
    backend = next.backend;
    return next.engine;
  });
  const { manifest, tokenizerFiles, sharesKernels } = model;
  return {
    manifest,
    tokenizerFiles,
    engine,
    sharesKernels,
    get backend() {
      return backend;
    },
  };
}

/** Codes of a GPU that cannot be used; what concerns the bundle or the caller would come of WebAssembly, too. */
const GPU_FAILURES: readonly string[] = ['ENGINE_FAILED', 'ENGINE_UNAVAILABLE'];

async function openOnWasm(source: string, options: DeviceModelOptions, why: string): Promise<DeviceModel> {
  const model = await openAs('wasm', source, options);
  return { ...model, backend: `${model.backend} (webgpu: ${why})` };
}

async function openAs(runtime: RuntimeName, source: string, options: DeviceModelOptions): Promise<DeviceModel> {
  const model = await openInWorker(source, runtime, { ...options, device: runtime });
  assert(model !== 'prefers-webgpu', 'a worker that was told its device prefers none');
  return model;
}

async function openInWorker(
  source: string,
  runtime: RuntimeName,
  options: DeviceModelOptions,
): Promise<DeviceModel | 'prefers-webgpu'> {
  const worker = await startWorker(options.worker, runtime);
  let opened: Extract<DeviceReport, { report: 'opened' }> | undefined;
  let prefer!: (kind: 'prefers-webgpu') => void;
  const preference = new Promise<'prefers-webgpu'>((resolve) => {
    prefer = resolve;
  });
  const { engine, lost } = connectEngine(
    workerPort(worker, (message) => {
      if (message.report === 'prefers-webgpu') prefer(message.report);
      if (message.report === 'progress') options.onProgress?.(message.progress);
      if (message.report === 'opened') opened = message;
    }),
  );
  return await untilStopped(worker, options.signal, lost, async () => {
    worker.postMessage(taskOf('load', source, options));
    const ready = await Promise.race([engine, preference]);
    if (ready === 'prefers-webgpu') {
      worker.terminate();
      return ready;
    }
    if (!opened) throw new TandemError('ENGINE_FAILED', 'the worker is of another version of @tandem/edge');
    // ONNX Runtime's memory never shrinks; only the end of the worker gives it back.
    const dispose = async () => {
      lost(new TandemError('DISPOSED', 'the model was disposed; load it again'));
      worker.terminate();
    };
    const { manifest, tokenizerFiles, backend } = opened;
    return { manifest, tokenizerFiles, backend, engine: { ...ready, dispose }, sharesKernels: false };
  });
}

export async function modelAvailability(source: string, options: DeliveryOptions): Promise<Availability> {
  return await runTask('availability', source, options).catch((error) => {
    if (error instanceof TandemError && error.code === 'INVALID_OPTION') throw error;
    return 'unavailable';
  });
}

export async function downloadModel(source: string, options: DeliveryOptions): Promise<void> {
  // An app that downloads on purpose wants to keep what it gets. Only a page may ask, not a worker.
  await navigator.storage?.persist?.().catch(() => false);
  await fetchModel(source, options);
}

/** Without asking whether it may be kept. */
export async function fetchModel(source: string, options: DeliveryOptions): Promise<void> {
  await runTask('download', source, options);
}

/** A worker for one task that ends with `done`. */
async function runTask(kind: DeviceTask['kind'], source: string, options: DeliveryOptions): Promise<Availability> {
  const worker = await startWorker(options.worker, 'wasm');
  const done = new Promise<Availability>((resolve, reject) => {
    worker.addEventListener('message', ({ data }) => {
      if (!isDeviceReport(data)) return;
      if (data.report === 'progress') options.onProgress?.(data.progress);
      if (data.report === 'done') resolve(data.availability);
      if (data.report === 'failed') reject(fromWireError(data.error));
    });
  });
  let stop!: (reason: TandemError) => void;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  try {
    return await untilStopped(worker, options.signal, stop, () => {
      worker.postMessage(taskOf(kind, source, options));
      return Promise.race([done, stopped]);
    });
  } finally {
    worker.terminate();
  }
}

/** Calls `lost` when the worker breaks or the signal aborts; a worker whose task failed is terminated. */
async function untilStopped<Result>(
  worker: DeviceWorker,
  signal: AbortSignal | undefined,
  lost: (reason: TandemError) => void,
  action: () => Promise<Result>,
): Promise<Result> {
  worker.addEventListener('error', (event) => {
    event.preventDefault();
    const hint = 'is its script where the page looks for it (option worker)?';
    lost(
      new TandemError('ENGINE_FAILED', `the device worker stopped: ${event.message || 'it did not start'}; ${hint}`),
    );
  });
  const onAbort = () => lost(new TandemError('ABORTED', 'loading was aborted', { cause: signal?.reason }));
  signal?.addEventListener('abort', onAbort, { once: true });
  // It may have come while the worker was started.
  if (signal?.aborted) onAbort();
  try {
    return await action();
  } catch (error) {
    worker.terminate();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** A script that the app names is that of WebAssembly; the one for WebGPU lies beside it. */
async function startWorker(worker: DeviceModelOptions['worker'], runtime: RuntimeName): Promise<DeviceWorker> {
  try {
    if (typeof worker === 'function') return worker(runtime);
    if (worker !== undefined && typeof worker !== 'boolean' && worker !== 'shared') {
      const script = runtime === 'wasm' ? worker : new URL('webgpu-worker.js', absolute(String(worker)));
      return new Worker(script, { type: 'module', name: `tandem-${runtime}` });
    }
    // Written out like this, because bundlers look for these very words; webpack makes one file of two of the same name.
    if (runtime === 'webgpu')
      return new Worker(new URL('./webgpu-worker.js', import.meta.url), { type: 'module', name: 'tandem-webgpu' });
    return new Worker(new URL('./wasm-worker.js', import.meta.url), { type: 'module', name: 'tandem-wasm' });
  } catch (cause) {
    throw new TandemError('ENGINE_UNAVAILABLE', `the device worker cannot be started: ${cause}`, { cause });
  }
}

function workerPort(worker: DeviceWorker, onReport: (message: DeviceReport) => void): EnginePort {
  return {
    post: (message) => worker.postMessage(message),
    listen: (listener) =>
      worker.addEventListener('message', ({ data }) => {
        if (isDeviceReport(data)) onReport(data);
        else listener(data);
      }),
  };
}

function taskOf(
  kind: DeviceTask['kind'],
  source: string,
  { device, format, storage, threads, runtimeUrl }: DeliveryOptions & Partial<DeviceModelOptions>,
): DeviceTask {
  return {
    kind,
    source: absolute(source),
    device: device === 'auto' || device === 'webgpu' ? device : 'wasm',
    format,
    storage,
    threads: threads ?? 1,
    runtimeUrl: runtimeUrl === undefined ? undefined : absolute(String(runtimeUrl)),
  };
}
