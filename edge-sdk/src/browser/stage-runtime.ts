import type { Format, OnnxRuntime, OnnxStageOptions, OnnxStageShape } from '@tandem/shared';
import type { InferenceSession } from 'onnxruntime-common';

/** One of onnxruntime-web's builds, as a device worker uses it. Each has a worker of its own, so that no app loads both. */
export interface StageRuntime {
  /** As in `model.backend`. */
  readonly name: 'wasm' | 'webgpu';
  /** Weight formats, the best for it first. */
  readonly formats: readonly Format[];
  configure(options: StageRuntimeOptions): OnnxRuntime;
  /** Fetches, compiles and starts it. @throws TandemError ENGINE_UNAVAILABLE */
  start(options: StageRuntimeOptions): Promise<void>;
  createSession(
    stage: Uint8Array,
    externalData: readonly { path: string; data: Uint8Array }[],
    shape: OnnxStageShape,
  ): Promise<InferenceSession>;
  /** Where stages keep their keys and values. */
  readonly memory: NonNullable<OnnxStageOptions['memory']>;
  /** What a check of a stage holds for: a name of the kernels that changes when they do. */
  kernels(): Promise<string>;
}

export interface StageRuntimeOptions {
  runtimeUrl: string | undefined;
  /** More than one only helps on pages that are cross-origin isolated. */
  threads: number;
}
