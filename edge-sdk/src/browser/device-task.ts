import type { Format, Manifest, WireError } from '@tandem/shared';
import type { LoadProgress } from '../delivery/load-progress.js';
import type { Availability, RuntimeName, Storage } from '../platform.js';

/** What the page tells a new worker, in its first message. From then on a worker that loads speaks the engine's protocol. */
export interface DeviceTask {
  kind: 'load' | 'download' | 'availability';
  /** Absolute: a worker has another base address than the page. */
  source: string;
  /** `auto`: a worker for WebAssembly says so where a GPU would be better. */
  device: 'auto' | RuntimeName;
  format: Format | undefined;
  storage: Storage;
  threads: number;
  runtimeUrl: string | undefined;
}

/** What a worker says besides the engine's `ready`, `failed` and answers. */
export type DeviceReport =
  | { report: 'progress'; progress: LoadProgress }
  | { report: 'opened'; manifest: Manifest; tokenizerFiles: Record<string, Uint8Array>; backend: string }
  /** And nothing follows: the other worker is to load. */
  | { report: 'prefers-webgpu' }
  | { report: 'done'; availability: Availability }
  | { report: 'failed'; error: WireError };

export function isDeviceReport(message: unknown): message is DeviceReport {
  return typeof message === 'object' && message !== null && 'report' in message;
}
