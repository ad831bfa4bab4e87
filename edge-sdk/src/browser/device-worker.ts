import {
  ChainEngine,
  createOnnxStageModel,
  type Engine,
  type EnginePort,
  engineInfo,
  type OnnxRuntime,
  onnxStageShape,
  type StageModel,
  serveEngine,
  systemClock,
  systemRandom,
  TandemError,
  toWireError,
} from '@tandem/shared';
import { bytesOnDevice } from '../delivery/device-half.js';
import type { DeviceReport, DeviceTask } from './device-task.js';
import { gpuObstacle } from './gpu-obstacle.js';
import { KernelNote } from './kernel-note.js';
import type { StageRuntime } from './stage-runtime.js';
import { WebBundle } from './web-bundle.js';

type Report = (message: DeviceReport) => void;

/** The inside of a worker, or a port to whoever acts as if this were one. */
export interface WorkerScope {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void, options?: { once: boolean }): void;
  start?(): void;
}

/** All that the script of a device worker does. */
export function listenForTask(
  runtime: StageRuntime,
  // TypeScript's types for workers exclude those for pages, and this package has both.
  scope: WorkerScope = globalThis as unknown as WorkerScope,
): void {
  const port: EnginePort = {
    post: (message) => scope.postMessage(message),
    listen: (listener) => scope.addEventListener('message', (event) => listener(event.data)),
  };
  const begin = ({ data }: { data: unknown }) => void serveDeviceWorker(port, data as DeviceTask, runtime);
  scope.addEventListener('message', begin, { once: true });
  scope.start?.();
}

/** Does the one task; a worker that loads then answers steps until it is terminated. */
async function serveDeviceWorker(port: EnginePort, task: DeviceTask, runtime: StageRuntime): Promise<void> {
  const report: Report = (message) => port.post(message);
  if (task.kind === 'load') return await serveEngine(port, () => loadEngine(task, runtime, report));
  try {
    const bundle = await openBundle(task, runtime, report);
    if (task.kind === 'download') await bundle.download();
    report({ report: 'done', availability: await bundle.availability() });
  } catch (error) {
    report({ report: 'failed', error: toWireError(error) });
  }
}

function openBundle(task: DeviceTask, { formats }: StageRuntime, report: Report): Promise<WebBundle> {
  const onProgress = (progress: Extract<DeviceReport, { report: 'progress' }>['progress']) =>
    report({ report: 'progress', progress });
  return WebBundle.open({ ...task, formats, clock: systemClock, random: systemRandom, onProgress });
}

async function loadEngine(task: DeviceTask, runtime: StageRuntime, report: Report): Promise<Engine> {
  const onnx = runtime.configure(task);
  const started = runtime.start(task);
  // Told when it is awaited; a download that fails first is what counts.
  started.catch(() => {});
  const bundle = await openBundle(task, runtime, report);
  const { manifest, format } = bundle;
  const totalBytes = bytesOnDevice(manifest, format);
  const why = await settleDevice(task, runtime, totalBytes, report);
  await bundle.download();
  const tokenizerFiles: Record<string, Uint8Array> = {};
  for (const entry of manifest.tokenizer) tokenizerFiles[entry.file] = await bundle.read(entry);
  report({ report: 'opened', manifest, tokenizerFiles, backend: `onnxruntime-web ${runtime.name}, ${format}${why}` });
  report({ report: 'progress', progress: { stage: 'device-stages', loadedBytes: totalBytes, totalBytes } });
  const info = engineInfo(manifest, format);
  await started;
  const models: StageModel[] = [];
  for (let index = 0; index < info.deviceStages; index++) models.push(await loadStage(bundle, index, runtime, onnx));
  report({ report: 'progress', progress: { stage: 'ready', loadedBytes: totalBytes, totalBytes } });
  return new ChainEngine(info, async (index) => stageOf(models, index), systemClock);
}

/** Whether this worker is the right one; resolves with the reason that belongs to the backend's name, if there is one. */
async function settleDevice(
  { device }: DeviceTask,
  { name }: StageRuntime,
  deviceBytes: number,
  report: Report,
): Promise<string> {
  if (device === 'wasm') return '';
  const obstacle = await gpuObstacle(device, deviceBytes);
  if (name === 'wasm') {
    if (obstacle !== undefined) return ` (webgpu: ${obstacle})`;
    report({ report: 'prefers-webgpu' });
    return await new Promise(() => {});
  }
  if (obstacle !== undefined) throw new TandemError('ENGINE_UNAVAILABLE', obstacle);
  return '';
}

async function loadStage(
  bundle: WebBundle,
  index: number,
  runtime: StageRuntime,
  onnx: OnnxRuntime,
): Promise<StageModel> {
  const { manifest, format } = bundle;
  const shape = onnxStageShape(manifest, index);
  const stage = manifest.stages[index]!;
  const entry = stage.files[format]!;
  const content = await bundle.read(entry);
  const data = stage.data?.[format];
  const externalData = data ? [{ path: data.file, data: await bundle.read(data) }] : [];
  const session = await runtime.createSession(content, externalData, shape).catch((cause: unknown) => {
    const message = `onnxruntime-web cannot load ${entry.file}: ${cause}; prepare the bundle with this version of Tandem`;
    throw new TandemError('ENGINE_UNAVAILABLE', message, { cause });
  });
  // The same kernels give the same bits, so that one check is good for all loads.
  const note = new KernelNote(bundle.store, entry, await runtime.kernels());
  const rowsPerRun = await note.rowsPerRun();
  const model = await createOnnxStageModel(onnx, session, shape, { memory: runtime.memory, rowsPerRun });
  if (rowsPerRun === undefined) await note.keep(model.rowsPerRun);
  return model;
}

function stageOf(models: readonly StageModel[], index: number): StageModel {
  const model = models[index];
  if (model) return model;
  throw new TandemError('ENGINE_FAILED', `stage ${index} lies behind the cut; the device has ${models.length} stages`);
}
