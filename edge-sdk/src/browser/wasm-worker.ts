import { listenForTask } from './device-worker.js';
import { wasmRuntime } from './onnxruntime-wasm.js';

/**
 * Entry of the dedicated worker (`@tandem/edge/worker`): storage, inference and sampling happen here, so that the page
 * only moves tokens. Its first message is its task.
 */
listenForTask(wasmRuntime);
