import type { Engine, Format, Manifest } from '@tandem/shared';
import type { LoadProgress } from './delivery/load-progress.js';
import type { PortTarget } from './host/host-port.js';

/**
 * What differs between Node and browsers. `#platform` (package.json, `imports`) leads to node/platform.ts or
 * browser/platform.ts, which export `openDeviceModel`, `modelAvailability`, `downloadModel`, `isPage`, `onNetworkBack` and
 * `webSocketConnect`; everything else is the same code.
 */
export interface DeviceModel {
  manifest: Manifest;
  /** The tokenizer's files by name, checked against the manifest. */
  tokenizerFiles: Record<string, Uint8Array>;
  engine: Engine;
  /** What the stages run on and, where there was a choice, why. Changes when a GPU is lost. */
  readonly backend: string;
  /** Whether a server's stages make the same bits of the same tokens: native code does, WebAssembly sums in another order. */
  sharesKernels: boolean;
}

/**
 * A worker that was started to run a model and its sessions. `#model-worker` starts it, apart from `#platform`: what runs inside
 * must not reach what starts it, or bundlers find a worker that contains itself.
 */
export interface ModelWorker {
  target: PortTarget;
  /** Whether it keeps the process alive. */
  hold(isBusy: boolean): void;
  terminate(): Promise<void>;
}

/** Whether a model can be loaded without the network, or at all. */
export type Availability = 'available' | 'downloadable' | 'downloading' | 'unavailable';

export interface DeliveryOptions {
  format?: Format;
  /** Address of the engine's worker script, or a function that starts it for a runtime. Of no matter in Node. */
  worker?: boolean | string | URL | ((runtime: RuntimeName) => DeviceWorker);
  /** Where the files are kept. Browser only. */
  storage: Storage;
  signal?: AbortSignal;
  onProgress?: (progress: LoadProgress) => void;
}

export interface DeviceModelOptions extends DeliveryOptions {
  device: Device;
  threads?: number;
  /** Address of the runtime's `.wasm` file; that of WebGPU lies beside it. Browser only. */
  runtimeUrl?: string | URL;
}

/** `auto` takes the best that starts; Node has `cpu`, `cuda` and `webgpu`, browsers `wasm` and `webgpu`. */
export const DEVICES = ['auto', 'cpu', 'cuda', 'wasm', 'webgpu'] as const;
export type Device = (typeof DEVICES)[number];

/** What a device worker of a browser runs on. */
export type RuntimeName = 'wasm' | 'webgpu';

/** `auto`: the origin's private file system, else the Cache API, else memory. */
export const STORAGES = ['auto', 'opfs', 'cache', 'memory'] as const;
export type Storage = (typeof STORAGES)[number];

/** The part of a dedicated worker that is used. */
export interface DeviceWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string; preventDefault(): void }) => void): void;
}
