import { availableParallelism } from 'node:os';
import { type FileEntry, TandemError } from '@tandem/shared';
import { type Bundle, openBundle } from '@tandem/shared/node';
import { bytesOnDevice, chooseFormat, deviceFiles } from '../delivery/device-half.js';
import { startWorkerEngine } from '../engine/worker-engine.js';
import type { Availability, DeliveryOptions, DeviceModel, DeviceModelOptions } from '../platform.js';

export { webSocketConnect } from '../link/web-socket-transport.js';

/** A process has no screen to keep smooth. */
export function isPage(): boolean {
  return false;
}

/** Nobody tells a Node process; attempts in the background find out. */
export function onNetworkBack(_listener: () => void): () => void {
  return () => {};
}

/** More threads than this gain nothing on the few rows that a device step has. */
const THREADS_MAX = 4;

/** The bundle is a folder; the stages run in a worker thread on onnxruntime-node. */
export async function openDeviceModel(directory: string, options: DeviceModelOptions): Promise<DeviceModel> {
  const { threads, signal, onProgress } = options;
  const { device } = options;
  if (device === 'wasm') {
    throw new TandemError(
      'INVALID_OPTION',
      'EdgeModel.load: device wasm is for browsers; Node has cpu, cuda and webgpu',
    );
  }
  const bundle = await openBundle(directory);
  const { manifest } = bundle;
  const format = chooseFormat(manifest, options.format, manifest.formats);
  const totalBytes = bytesOnDevice(manifest, format);
  onProgress?.({ stage: 'tokenizer', loadedBytes: 0, totalBytes });
  const tokenizerFiles: Record<string, Uint8Array> = {};
  for (const entry of manifest.tokenizer) tokenizerFiles[entry.file] = await bundle.readVerified(entry);
  const loadedBytes = manifest.tokenizer.reduce((sum, { bytes }) => sum + bytes, 0);
  onProgress?.({ stage: 'device-stages', loadedBytes, totalBytes });
  const engine = await startWorkerEngine(
    { directory, format, device, threads: threads ?? Math.min(availableParallelism(), THREADS_MAX) },
    signal,
  );
  onProgress?.({ stage: 'ready', loadedBytes: totalBytes, totalBytes });
  const { backend = 'onnxruntime-node cpu' } = engine.info;
  const sharesKernels = backend.startsWith('onnxruntime-node cpu');
  return { manifest, tokenizerFiles, engine, backend: `${backend}, ${format}`, sharesKernels };
}

/** In Node a bundle is there or it is not. */
export async function modelAvailability(directory: string, { format }: DeliveryOptions): Promise<Availability> {
  return openBundle(directory).then(
    ({ manifest }) => (format === undefined || manifest.formats.includes(format) ? 'available' : 'unavailable'),
    () => 'unavailable',
  );
}

/** Nothing to fetch in Node: reads the device's files once and checks them. */
export async function downloadModel(directory: string, options: DeliveryOptions): Promise<void> {
  const bundle = await openBundle(directory);
  const format = chooseFormat(bundle.manifest, options.format, bundle.manifest.formats);
  await verifyFiles(bundle, deviceFiles(bundle.manifest, format), options);
}

async function verifyFiles(
  bundle: Bundle,
  files: readonly FileEntry[],
  { signal, onProgress }: DeliveryOptions,
): Promise<void> {
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let loadedBytes = 0;
  for (const entry of files) {
    if (signal?.aborted) throw new TandemError('ABORTED', 'checking was aborted', { cause: signal.reason });
    await bundle.verify(entry);
    loadedBytes += entry.bytes;
    onProgress?.({ stage: 'download', loadedBytes, totalBytes });
  }
}
