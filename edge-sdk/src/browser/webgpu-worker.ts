import { listenForTask } from './device-worker.js';
import { webgpuRuntime } from './onnxruntime-webgpu.js';

/** Entry of the dedicated worker for devices with a GPU (`@tandem/edge/webgpu-worker`). Its first message is its task. */
listenForTask(webgpuRuntime);
