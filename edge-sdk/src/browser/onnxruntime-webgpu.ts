/**
 * The only door to onnxruntime-web's WebGPU build: the one that every browser with WebGPU runs. Its `.wasm` file is fetched from
 * the address that the bundler gave it, or from beside `runtimeUrl`.
 */
import { type OnnxStageShape, residentGraph, smallestModel, TandemError } from '@tandem/shared';
import { env, InferenceSession, Tensor } from 'onnxruntime-web/webgpu';
import type { StageRuntime, StageRuntimeOptions } from './stage-runtime.js';

const FILE = 'ort-wasm-simd-threaded.asyncify.wasm';

export const webgpuRuntime: StageRuntime = {
  name: 'webgpu',
  // As in WebAssembly: a server runs one format, and which device a page finds must not change what it asks for.
  formats: ['f16', 'f32', 'q8', 'q4'],
  memory: 'gpu',

  configure({ runtimeUrl }: StageRuntimeOptions) {
    env.wasm.numThreads = 1;
    env.wasm.proxy = false;
    env.logLevel = 'error';
    if (runtimeUrl !== undefined) env.wasm.wasmPaths = { wasm: new URL(FILE, runtimeUrl).href };
    return { InferenceSession, Tensor };
  },

  async start() {
    try {
      await (await InferenceSession.create(smallestModel(), { executionProviders: ['webgpu'] })).release();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `onnxruntime-web did not start with WebGPU: ${reason}; is ${FILE} next to the worker?`;
      throw new TandemError('ENGINE_UNAVAILABLE', message, { cause });
    }
  },

  async createSession(stage, externalData, shape: OnnxStageShape) {
    const { model, resident, onProcessor } = residentGraph(stage, shape);
    return await InferenceSession.create(model, {
      // An empty list is refused.
      executionProviders: [onProcessor.length > 0 ? { name: 'webgpu', forceCpuNodeNames: onProcessor } : 'webgpu'],
      preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, 'gpu-buffer'])),
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
      enableMemPattern: false,
      logSeverityLevel: 3,
      externalData: [...externalData],
    });
  },

  async kernels() {
    const device = (await env.webgpu.device) as unknown as { adapterInfo?: { vendor: string; architecture: string } };
    const { vendor = '', architecture = '' } = device.adapterInfo ?? {};
    return `webgpu ${env.versions.web}, ${vendor} ${architecture}`;
  },
};
