/**
 * The only door to onnxruntime-web's CPU build. It is the one without WebGPU: half the size. Its glue code is part of the
 * module; the `.wasm` file is fetched from the address that the bundler gave it, or from `runtimeUrl`.
 */

import { type OnnxRuntime, smallestModel, TandemError } from '@tandem/shared';
import { env, InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import type { StageRuntime, StageRuntimeOptions } from './stage-runtime.js';

export function configureWasmRuntime({ runtimeUrl, threads }: StageRuntimeOptions): OnnxRuntime {
  // Threads beyond the first would be started from a blob on some bundlers; a page that is not isolated has none anyway.
  env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
  env.wasm.proxy = false;
  env.logLevel = 'error';
  if (runtimeUrl !== undefined) env.wasm.wasmPaths = { wasm: runtimeUrl };
  return { InferenceSession, Tensor };
}

/** The options of every session, written out: a default that changes must not change results. */
export const WASM_SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['wasm'],
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
  enableCpuMemArena: true,
  // A memory pattern is planned for one shape and kept; rows and capacity change from run to run.
  enableMemPattern: false,
  logSeverityLevel: 3,
};

export const wasmRuntime: StageRuntime = {
  name: 'wasm',
  // f16 becomes f32 at load, 4 and 8 bits are unpacked at every step (docs/decisions/0072-the-browser.md).
  formats: ['f16', 'f32', 'q8', 'q4'],
  memory: 'arrays',
  configure: configureWasmRuntime,

  /** By itself it starts when the first session is made: a third of a load, which can go on while files are read. */
  async start({ runtimeUrl }) {
    try {
      await (await InferenceSession.create(smallestModel(), WASM_SESSION_OPTIONS)).release();
    } catch (cause) {
      throw await explainWasmFailure(cause, runtimeUrl);
    }
  },

  createSession: (stage, externalData) =>
    InferenceSession.create(stage, { ...WASM_SESSION_OPTIONS, externalData: [...externalData] }),

  kernels: async () => `wasm ${env.versions.web}, ${env.wasm.numThreads} threads`,
};

/**
 * Why the runtime did not start, in words that help: what most often is wrong is the address of the `.wasm` file, and
 * servers answer that with a page.
 */
async function explainWasmFailure(cause: unknown, runtimeUrl: string | undefined): Promise<TandemError> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (runtimeUrl === undefined) {
    const hint = 'copy ort-wasm-simd-threaded.wasm next to the worker, or name its address with runtimeUrl';
    return new TandemError('ENGINE_UNAVAILABLE', `onnxruntime-web did not start: ${reason}; ${hint}`, { cause });
  }
  const answer = await fetch(runtimeUrl, { method: 'HEAD' }).then(
    ({ status, headers }) => `answered ${status}, ${headers.get('content-type') ?? 'no content type'}`,
    () => 'cannot be reached',
  );
  const message = `onnxruntime-web did not start: ${runtimeUrl} ${answer}; it must be application/wasm (${reason})`;
  return new TandemError('ENGINE_UNAVAILABLE', message, { cause });
}
