import type { InferenceSessionFactory, TensorConstructor } from 'onnxruntime-common';

/** The part of an onnxruntime module that a stage uses; onnxruntime-node and onnxruntime-web both have it. */
export interface OnnxRuntime {
  InferenceSession: InferenceSessionFactory;
  Tensor: TensorConstructor;
}
