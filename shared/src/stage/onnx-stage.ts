/**
 * A stage on ONNX Runtime, and the reasons why its rows do not depend on their grouping.
 *
 * Sums in floating point depend on their order, so a row is bitwise reproducible only if every sum that leads to it
 * has the same terms in the same order, however many rows share the run. Three measures make it so:
 *
 * 1. *Aligned window.* Positions fall into windows of 64. A row at position p in the window starting at A attends to
 *    a frozen part [0, A), read in place from the KV cache, and to the window [A, A + 64), which the graph puts together
 *    from cached positions, the rows of this run and zeros. What belongs to which part depends on p alone; with the
 *    obvious split into cached and new rows it would depend on the grouping. A forward is split where windows end.
 *
 *    ```
 *    scores (…, capacity + 64):  | 0 … A: frozen | A … capacity: masked | window: up to p | masked |
 *    ```
 *    Masked scores become exact zeros, and trailing zeros do not change a sum, so the capacity does not matter either.
 * 2. *One row per product.* The attention products carry queries and heads as batch dimensions, so that each is a
 *    (1, headDim) × (headDim, capacity) product. ONNX Runtime has a kernel of its own for one row, which sums in another order than
 *    the one for several; here every row meets the same kernel. It is also the quicker one up to about eight rows.
 * 3. *Weights by row-independent kernels only*: packed f32 products, and `MatMulNBits` which quantises its input row by
 *    row. `DynamicQuantizeLinear` takes one scale for all rows of a run and is therefore never used.
 *
 * The contract suite (tests/contracts) checks all of this bit for bit. Processors that it never ran on are checked when a
 * stage is loaded (row-independence.ts).
 */
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import { assert, TandemError } from '../errors.js';
import { WINDOW_POSITIONS } from './kv-cache.js';
import type { OnnxRuntime } from './onnx-runtime.js';
import type { OnnxStageShape } from './onnx-stage-shape.js';
import { ResidentMemory } from './resident-memory.js';
import type { Stage, StageInput, StageOutput, StageTail } from './stage.js';
import { StageCall } from './stage-call.js';
import { OwnedMemory, type StageMemory } from './stage-memory.js';

export interface OnnxStageParts {
  runtime: OnnxRuntime;
  session: InferenceSession;
  shape: OnnxStageShape;
  /** Rows that one run may hold, at most a window. */
  rowsPerRun: number;
  /** Where keys and values are kept; `gpu` needs the graph that resident-graph.ts makes. Default `arrays`. */
  memory?: 'arrays' | 'gpu';
}

/** One session's stage; made by `OnnxStageModel.open`. */
export class OnnxStage implements Stage {
  readonly capacity: number;
  readonly #runtime: OnnxRuntime;
  readonly #session: InferenceSession;
  readonly #shape: OnnxStageShape;
  readonly #rowsPerRun: number;
  readonly #cache: StageMemory;
  /** Names of what a run is asked for. */
  readonly #outputs: string[];
  #state: 'idle' | 'running' | 'disposed' = 'idle';

  constructor({ runtime, session, shape, rowsPerRun, memory }: OnnxStageParts, capacity: number) {
    this.#runtime = runtime;
    this.#session = session;
    this.#shape = shape;
    this.#rowsPerRun = rowsPerRun;
    this.capacity = capacity;
    const { layers, kvHeads, headDim } = shape;
    const Memory = memory === 'gpu' ? ResidentMemory : OwnedMemory;
    this.#cache = new Memory(runtime.Tensor, { layers, kvHeads, headDim, limit: capacity });
    this.#outputs = ['output_rows', ...(shape.hasHead ? ['logits'] : []), ...this.#cache.outputs];
  }

  get length(): number {
    return this.#cache.length;
  }

  async forward(input: StageInput, wanted: Int32Array): Promise<StageOutput> {
    const call = this.begin(input, wanted);
    try {
      while (call.rest > 0) await this.runPiece(call, this.pieceOf(call));
    } catch (cause) {
      throw this.fail(call, cause);
    }
    this.end();
    return call.output;
  }

  reserve(length: number): void {
    assert(length <= this.capacity, `reserve ${length}, capacity ${this.capacity}`);
    this.#cache.reserve(length);
  }

  truncate(length: number): void {
    assert(this.#state === 'idle', `truncate of a stage that is ${this.#state}`);
    this.#cache.truncate(length);
  }

  copyTail(from: number): StageTail {
    assert(this.#state === 'idle', `copyTail of a stage that is ${this.#state}`);
    return this.#cache.copyTail(from);
  }

  appendTail(tail: StageTail): void {
    assert(
      this.#state === 'idle' && tail.from === this.length,
      `a tail from ${tail.from} behind ${this.length} positions`,
    );
    this.#cache.appendTail(tail);
  }

  dispose(): void {
    this.#state = 'disposed';
    this.#cache.clear();
  }

  #isDisposed(): boolean {
    return this.#state === 'disposed';
  }

  /** Checks a call, and keeps others away until `end` or `fail`. What follows is for `forward` and for OnnxBatch. */
  begin(input: StageInput, wanted: Int32Array): StageCall {
    if (this.#isDisposed()) throw new TandemError('DISPOSED', 'the stage was disposed; open a new one');
    assert(this.#state === 'idle', 'forward was called while another forward of the same stage was running');
    const call = this.#checkCall(input, wanted);
    this.#state = 'running';
    return call;
  }

  end(): void {
    if (!this.#isDisposed()) this.#state = 'idle';
  }

  /** Ends a call that failed: the stage is as it was before. Returns what to throw. */
  fail(call: StageCall, cause: unknown): unknown {
    if (!this.#isDisposed()) this.#cache.truncate(call.start, WINDOW_POSITIONS);
    this.end();
    if (cause instanceof TandemError) return cause;
    const message = 'ONNX Runtime could not run the stage; the stage is unchanged';
    return new TandemError('ENGINE_FAILED', message, { cause });
  }

  /** Rows of the next run of a call: a forward is split where windows end. */
  pieceOf({ rest }: StageCall): number {
    return Math.min(rest, WINDOW_POSITIONS - (this.length % WINDOW_POSITIONS), this.#rowsPerRun);
  }

  /**
   * Runs the next `count` rows of a call, all in one window.
   *
   * A row that turns into NaN or infinity would reach rows before it in the same run, because zero probability times
   * NaN is NaN. Such a run is repeated row by row: then each row is what it would have been alone.
   */
  async runPiece(call: StageCall, count: number): Promise<void> {
    const feeds: Record<string, Tensor> = this.slotFeeds(count);
    const data = call.next(count);
    if (data instanceof Int32Array) feeds.tokens = new this.#runtime.Tensor('int32', data, [count]);
    else feeds.rows = new this.#runtime.Tensor('float32', data, [count, this.#shape.width]);
    if (this.#shape.hasHead) {
      const wanted = call.wantedOf(count);
      feeds.wanted = new this.#runtime.Tensor('int32', wanted, [wanted.length]);
    }
    const results = await this.#session.run(feeds, this.#outputs);
    if (this.#isDisposed()) for (const tensor of Object.values(results)) tensor.dispose();
    if (!this.takeIn(call, results, count)) await this.repeatRowByRow(call, count);
  }

  /** What a run of the next `count` rows needs to know of this session: its cache, and where in it the rows belong. */
  slotFeeds(count: number): Record<string, Tensor> {
    const { Tensor } = this.#runtime;
    this.#cache.reserve(this.length + count);
    const { length: past, capacity } = this.#cache;
    const windowStart = past - (past % WINDOW_POSITIONS);
    const mask = attentionMask(past, count, capacity);
    // The window's start, the first new position, the end of the new ones, the window's end.
    const bounds = [windowStart, past, past + count, windowStart + WINDOW_POSITIONS];
    return {
      ...this.#cache.feeds(),
      mask: new Tensor('float32', mask, [count, 1, capacity + WINDOW_POSITIONS]),
      bounds: new Tensor('int64', BigInt64Array.from(bounds, BigInt), [4]),
    };
  }

  /**
   * Takes in what a run gave for `count` rows of the call, which lie in `results` behind those of others. Returns false
   * where they have to be run once more, row by row.
   */
  takeIn(call: StageCall, results: InferenceSession.ReturnType, count: number, before = NOBODY): boolean {
    if (this.#isDisposed()) throw new TandemError('DISPOSED', 'the stage was disposed while it ran');
    const hasNumbers = this.#cache.append(results, count, before.rows);
    if (!hasNumbers && count > 1) {
      this.#cache.truncate(this.length - count);
      return false;
    }
    const { width, vocabularySize, hasHead } = this.#shape;
    const part = (data: unknown, first: number, lines: number, size: number) =>
      (data as Float32Array).subarray(first * size, (first + lines) * size);
    const rows = part(results.output_rows!.data, before.rows, count, width);
    const logits = hasHead
      ? part(results.logits!.data, before.wanted, call.wantedOf(count).length, vocabularySize)
      : NO_LOGITS;
    call.take({ rows, logits }, count);
    return true;
  }

  async repeatRowByRow(call: StageCall, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.runPiece(call, 1);
  }

  #checkCall(input: StageInput, wanted: Int32Array): StageCall {
    const { width, vocabularySize } = this.#shape;
    assert(input.kind === this.#shape.input, `this stage reads ${this.#shape.input}, not ${input.kind}`);
    const data = input.kind === 'tokens' ? input.tokens : input.rows;
    const stride = input.kind === 'tokens' ? 1 : width;
    const count = data.length / stride;
    assert(Number.isInteger(count), `${data.length} numbers are not rows of width ${width}`);
    assert(
      wanted.every((offset, i) => offset >= 0 && offset < count && (i === 0 || offset > wanted[i - 1]!)),
      'wanted offsets',
    );
    if (input.kind === 'tokens')
      assert(
        input.tokens.every((id) => id >= 0 && id < vocabularySize),
        'a token is outside the vocabulary',
      );
    if (this.length + count > this.capacity) {
      const message = `${this.length} positions and ${count} more, capacity ${this.capacity}; shorten the prompt or the output`;
      throw new TandemError('CONTEXT_TOO_LONG', message);
    }
    return new StageCall({ data, stride, count, wanted, start: this.length });
  }
}

/**
 * Added to the scores: 0 where a row may look, -infinity elsewhere. `(count, capacity + 64)`, frozen part first.
 *
 * Made here and not in the graph: it takes two microseconds for one row, the graph would need fifteen nodes.
 */
function attentionMask(past: number, count: number, capacity: number): Float32Array {
  const size = capacity + WINDOW_POSITIONS;
  const windowStart = past - (past % WINDOW_POSITIONS);
  const mask = new Float32Array(count * size).fill(-Infinity);
  for (let i = 0; i < count; i++) {
    mask.fill(0, i * size, i * size + windowStart);
    mask.fill(0, i * size + capacity, i * size + capacity + past + i + 1 - windowStart);
  }
  return mask;
}

/** Rows and wanted rows that a run has before a session's own. */
const NOBODY = { rows: 0, wanted: 0 };

const NO_LOGITS = new Float32Array(0);
