import { configureWasmRuntime, WASM_SESSION_OPTIONS } from '@tandem/edge/testing';
import { createOnnxStageModel, type Format, onnxStageShape, type StageModel } from '@tandem/shared';
import type { Bundle } from '@tandem/shared/node';

/**
 * A stage on onnxruntime-web in this process: the WebAssembly that browsers run, on the same V8. tests/browser compares the
 * bits of both.
 */
export async function loadWasmStage(bundle: Bundle, index: number, format: Format): Promise<StageModel> {
  const runtime = configureWasmRuntime({ runtimeUrl: undefined, threads: 1 });
  const content = await bundle.readVerified(bundle.manifest.stages[index]!.files[format]!);
  const session = await runtime.InferenceSession.create(content, WASM_SESSION_OPTIONS);
  return await createOnnxStageModel(runtime, session, onnxStageShape(bundle.manifest, index));
}
