import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { TandemError } from '../errors.js';
import { ofSlot } from './batch-graph.js';
import { WINDOW_POSITIONS } from './kv-cache.js';
import type { OnnxRuntime } from './onnx-runtime.js';
import type { OnnxStage } from './onnx-stage.js';
import type { OnnxStageShape } from './onnx-stage-shape.js';
import type { Stage, StageBatch, StageForward, StageOutput } from './stage.js';
import type { StageCall } from './stage-call.js';
import { cacheDims, layerNames } from './stage-memory.js';

export interface OnnxBatchParts {
  runtime: OnnxRuntime;
  /** Of the graph that batch-graph.ts makes of the stage's, with so many slots. Belongs to the batch from now on. */
  session: InferenceSession;
  shape: OnnxStageShape;
  slots: number;
}

/** A stage's graph with slots, and who of several sessions goes through it together. */
export class OnnxBatch implements StageBatch {
  readonly slots: number;
  readonly #parts: OnnxBatchParts;
  readonly #outputs: string[];
  /** Of a slot that nobody needs: an empty session with one row. */
  readonly #idle: Record<string, Tensor>;

  constructor(parts: OnnxBatchParts) {
    const { runtime, shape, slots } = parts;
    this.slots = slots;
    this.#parts = parts;
    const caches = layerNames(shape.layers, ['new_keys', 'new_values']);
    this.#outputs = ['output_rows', ...(shape.hasHead ? ['logits'] : []), ...caches];
    this.#idle = idleSlot(runtime, shape);
  }

  /**
   * Runs every call as `stage.forward` would, several of them as one run: each up to the end of its window, and all
   * together no more rows than a window has. A call that fails leaves its stage as it was, and the others alone.
   */
  async forward(calls: readonly StageForward[]): Promise<(StageOutput | Error)[]> {
    const entries = calls.map(enter);
    for (let turn = this.#nextTurn(entries); turn.length > 0; turn = this.#nextTurn(entries)) {
      const [only] = turn;
      if (turn.length === 1)
        await attempt(only!.entry, () => only!.entry.stage.runPiece(only!.entry.call, only!.count));
      else await this.#runTogether(turn);
    }
    return entries.map((entry) => {
      if (!('call' in entry)) return entry.failed;
      if (entry.failed) return entry.failed;
      entry.stage.end();
      return entry.call.output;
    });
  }

  async dispose(): Promise<void> {
    await this.#parts.session.release();
  }

  /** Who has rows left, as far as there are slots, and rows in a window: those of idle slots count. */
  #nextTurn(entries: readonly Entry[]): Piece[] {
    const turn: Piece[] = [];
    let rows = this.slots;
    for (const entry of entries) {
      if (turn.length === this.slots) break;
      if (!('call' in entry) || entry.failed || entry.call.rest === 0) continue;
      const count = entry.stage.pieceOf(entry.call);
      if (turn.length > 0 && rows + count - 1 > WINDOW_POSITIONS) continue;
      turn.push({ entry, count });
      rows += count - 1;
    }
    return turn;
  }

  async #runTogether(turn: readonly Piece[]): Promise<void> {
    let results: InferenceSession.ReturnType;
    try {
      results = await this.#parts.session.run(this.#feeds(turn), this.#outputs);
    } catch (cause) {
      for (const { entry } of turn) entry.failed = asError(entry.stage.fail(entry.call, cause));
      return;
    }
    const before = { rows: 0, wanted: 0 };
    for (const { entry, count } of turn) {
      const wanted = entry.call.wantedOf(count).length;
      await attempt(entry, async () => {
        if (!entry.stage.takeIn(entry.call, results, count, before))
          await entry.stage.repeatRowByRow(entry.call, count);
      });
      before.rows += count;
      before.wanted += wanted;
    }
  }

  #feeds(turn: readonly Piece[]): Record<string, Tensor> {
    const { runtime, shape, slots } = this.#parts;
    const { Tensor } = runtime;
    const idle = slots - turn.length;
    const total = turn.reduce((sum, { count }) => sum + count, idle);
    const stride = shape.input === 'tokens' ? 1 : shape.width;
    const data = shape.input === 'tokens' ? new Int32Array(total) : new Float32Array(total * stride);
    const positions = new BigInt64Array(total);
    const counts = new BigInt64Array(slots).fill(1n);
    const wanted: number[] = [];
    const feeds: Record<string, Tensor> = {};
    let row = 0;
    for (let slot = 0; slot < slots; slot++) {
      const piece = turn[slot];
      if (piece) {
        const { entry, count } = piece;
        data.set(entry.call.next(count), row * stride);
        for (const offset of entry.call.wantedOf(count)) wanted.push(row + offset);
        for (let i = 0; i < count; i++) positions[row + i] = BigInt(entry.stage.length + i);
        counts[slot] = BigInt(count);
        row += count;
      }
      const own = piece ? piece.entry.stage.slotFeeds(piece.count) : this.#idle;
      for (const [name, tensor] of Object.entries(own)) feeds[ofSlot(name, slot)] = tensor;
    }
    if (data instanceof Int32Array) feeds.tokens = new Tensor('int32', data, [total]);
    else feeds.rows = new Tensor('float32', data, [total, stride]);
    feeds.row_positions = new Tensor('int64', positions, [total]);
    feeds.slot_rows = new Tensor('int64', counts, [slots]);
    if (shape.hasHead) feeds.wanted = new Tensor('int32', Int32Array.from(wanted), [wanted.length]);
    return feeds;
  }
}

/** A call on its way. */
interface Running {
  stage: OnnxStage;
  call: StageCall;
  failed: Error | undefined;
}

/** A call, or why it could not begin. */
type Entry = Running | { failed: Error };

interface Piece {
  entry: Running;
  /** Rows of the next run. */
  count: number;
}

function enter({ stage, input, wanted }: StageForward): Entry {
  try {
    const own = stage as Stage as OnnxStage;
    return { stage: own, call: own.begin(input, wanted), failed: undefined };
  } catch (error) {
    return { failed: asError(error) };
  }
}

async function attempt(entry: Running, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (cause) {
    entry.failed = asError(entry.stage.fail(entry.call, cause));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new TandemError('ENGINE_FAILED', String(error));
}

function idleSlot({ Tensor }: OnnxRuntime, shape: OnnxStageShape): Record<string, Tensor> {
  const { layers, kvHeads, headDim } = shape;
  const cache = cacheDims({ layers, kvHeads, headDim, limit: WINDOW_POSITIONS }, WINDOW_POSITIONS);
  const zeros = new Float32Array(kvHeads * headDim * WINDOW_POSITIONS);
  // Its one row sees itself and nothing else.
  const mask = new Float32Array(2 * WINDOW_POSITIONS).fill(-Infinity);
  mask[WINDOW_POSITIONS] = 0;
  const feeds: Record<string, Tensor> = {
    mask: new Tensor('float32', mask, [1, 1, 2 * WINDOW_POSITIONS]),
    bounds: new Tensor('int64', BigInt64Array.from([0, 0, 1, WINDOW_POSITIONS], BigInt), [4]),
  };
  for (const [i, name] of layerNames(layers, ['past_keys', 'past_values']).entries()) {
    feeds[name] = new Tensor('float32', zeros, i % 2 === 0 ? cache.keys : cache.values);
  }
  return feeds;
}
