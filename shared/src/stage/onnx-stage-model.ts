import type { InferenceSession } from 'onnxruntime-common';
import { TandemError } from '../errors.js';
import { WINDOW_POSITIONS } from './kv-cache.js';
import type { OnnxRuntime } from './onnx-runtime.js';
import { OnnxStage, type OnnxStageParts } from './onnx-stage.js';
import type { OnnxStageShape } from './onnx-stage-shape.js';
import { hasIndependentRows } from './row-independence.js';
import type { Stage, StageModel } from './stage.js';

/**
 * Wraps a loaded stage graph, and checks that this processor's kernels treat a row alike in every run.
 *
 * Where they do not, rows are run one at a time: slower with many rows, but still exact. `session` belongs to the model from
 * now on (model-kit's stage-graph.ts describes its inputs and outputs).
 */
export async function createOnnxStageModel(
  runtime: OnnxRuntime,
  session: InferenceSession,
  shape: OnnxStageShape,
  { rowsPerRun, memory }: OnnxStageOptions = {},
): Promise<OnnxStageModel> {
  const rowsMax = memory === 'gpu' ? GPU_ROWS_PER_RUN_MAX : WINDOW_POSITIONS;
  const model = new OnnxStageModel({ runtime, session, shape, memory, rowsPerRun: rowsPerRun ?? rowsMax });
  if (rowsPerRun !== undefined || (await hasIndependentRows(model, shape.input, shape.contextLength))) return model;
  return new OnnxStageModel({ runtime, session, shape, memory, rowsPerRun: 1 });
}

/** Kernels for a GPU change with the number of rows: up to 17 the check sees what they do, a run of 64 sums in another order. */
const GPU_ROWS_PER_RUN_MAX = 16;

export interface OnnxStageOptions {
  memory?: OnnxStageParts['memory'];
  /** What such a check of the same stage on the same kernels found before; nothing is checked then. */
  rowsPerRun?: number | undefined;
}

/** The weights of a stage in an ONNX session. Sessions share it; each opens its own KV cache. */
export class OnnxStageModel implements StageModel {
  readonly width: number;
  readonly vocabularySize: number;
  readonly hasHead: boolean;
  readonly kvBytesPerPosition: number;
  /** Rows that one run may hold: a window, 16 on a GPU, or 1 where rows of one run are not independent of each other. */
  readonly rowsPerRun: number;
  readonly #parts: OnnxStageParts;
  #disposed = false;

  constructor(parts: OnnxStageParts) {
    const { shape } = parts;
    this.#parts = parts;
    this.width = shape.width;
    this.vocabularySize = shape.vocabularySize;
    this.hasHead = shape.hasHead;
    this.kvBytesPerPosition = 2 * shape.layers * shape.kvHeads * shape.headDim * Float32Array.BYTES_PER_ELEMENT;
    this.rowsPerRun = parts.rowsPerRun;
  }

  open(capacity: number): Stage {
    if (this.#disposed) throw new TandemError('DISPOSED', 'the stage model was disposed; load it again');
    const { contextLength } = this.#parts.shape;
    if (capacity > contextLength) {
      throw new TandemError(
        'CONTEXT_TOO_LONG',
        `capacity ${capacity}, the model has ${contextLength} positions; ask for fewer`,
      );
    }
    return new OnnxStage(this.#parts, capacity);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#parts.session.release();
  }
}
