import type { DeviceWorker, RuntimeName } from '../platform.js';
import { listenForTask } from './device-worker.js';
import type { StageRuntime } from './stage-runtime.js';

const RUNTIMES: Record<RuntimeName, () => Promise<StageRuntime>> = {
  wasm: async () => (await import('./onnxruntime-wasm.js')).wasmRuntime,
  webgpu: async () => (await import('./onnxruntime-webgpu.js')).webgpuRuntime,
};

/**
 * The engine on this very thread, with the face of a worker: a shared worker cannot start one in every browser. What it
 * allocated stays until the thread ends.
 */
export function deviceHere(name: RuntimeName): DeviceWorker {
  const { port1: outside, port2: inside } = new MessageChannel();
  const failures = new EventTarget();
  RUNTIMES[name]().then(
    (runtime) => listenForTask(runtime, inside),
    (cause) => failures.dispatchEvent(Object.assign(new Event('error'), { message: String(cause) })),
  );
  return {
    postMessage: (message) => outside.postMessage(message),
    terminate: () => outside.close(),
    addEventListener(type: string, listener: (event: never) => void) {
      (type === 'error' ? failures : outside).addEventListener(type, listener as EventListener);
      outside.start();
    },
  };
}
