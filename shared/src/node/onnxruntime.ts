/** The only file that imports onnxruntime-node, and it does so on first use: a program that never runs a stage does not need it. */
import { existsSync } from 'node:fs';
import type { InferenceSession } from 'onnxruntime-common';
import { TandemError } from '../errors.js';
import type { OnnxRuntime } from '../stage/onnx-runtime.js';
import type { ResidentGraph } from '../stage/resident-graph.js';

/** `auto` and what each falls back to: node-device.ts. */
export const NODE_DEVICES = ['auto', 'cpu', 'cuda', 'webgpu'] as const;
export type NodeDevice = (typeof NODE_DEVICES)[number];

export interface SessionOptions {
  /** Default `cpu`. */
  device?: Exclude<NodeDevice, 'auto'>;
  /** Threads of one session. Default 0: one per physical core. */
  threads?: number;
}

/** @throws TandemError ENGINE_UNAVAILABLE when onnxruntime-node is not installed or cannot start. */
export async function loadOnnxRuntime(): Promise<OnnxRuntime> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    const message = 'onnxruntime-node cannot be loaded; install it with "npm install onnxruntime-node@1.30"';
    throw new TandemError('ENGINE_UNAVAILABLE', message, { cause });
  }
}

/** Whether CUDA came with the installation; to try it without prints lines of native errors. */
export function isCudaInstalled(): boolean {
  const folder = `../bin/napi-v6/${process.platform}/${process.arch}/`;
  const entry = new URL(import.meta.resolve('onnxruntime-node'));
  return existsSync(new URL(`${folder}libonnxruntime_providers_cuda.so`, entry));
}

/** The options of every session, written out: a default that changes must not change results. */
export function onnxSessionOptions(
  options: SessionOptions = {},
  { resident = [], onProcessor = [] }: Partial<Pick<ResidentGraph, 'resident' | 'onProcessor'>> = {},
): InferenceSession.SessionOptions {
  const { device = 'cpu' } = options;
  return {
    executionProviders: [onProcessor.length > 0 ? { name: 'webgpu', forceCpuNodeNames: onProcessor } : device],
    ...(resident.length > 0
      ? { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, 'gpu-buffer'])) }
      : {}),
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    intraOpNumThreads: options.threads ?? 0,
    interOpNumThreads: 1,
    enableCpuMemArena: true,
    // A memory pattern is planned for one shape and kept; rows and capacity change from run to run.
    enableMemPattern: false,
    logSeverityLevel: 3,
    // Threads wait for work in a loop while a step runs, which is quick, and no longer, which would burn a core between
    // steps. Servers share their cores and devices have batteries.
    extra: { session: { force_spinning_stop: '1' } },
  };
}
