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
    if (this.#state === 'disposed') throw new TandemError('DISPOSED', 'the stage was disposed; open a new one');
    assert(this.#state === 'idle', 'forward was called while another forward of the same stage was running');
    const call = this.#checkCall(input, wanted);
    const start = this.length;
    this.#state = 'running';
    try {
      return await this.#runCall(call);
    } catch (cause) {
      if (!this.#isDisposed()) this.#cache.truncate(start, WINDOW_POSITIONS);
      if (cause instanceof TandemError) throw cause;
      throw new TandemError('ENGINE_FAILED', 'ONNX Runtime could not run the stage; the stage is unchanged', {
        cause,
      });
    } finally {
      if (!this.#isDisposed()) this.#state = 'idle';
    }
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
    return { data, stride, count, wanted };
  }

  /** Splits the call where windows end, and joins the outputs. */
  async #runCall(call: StageCall): Promise<StageOutput> {
    if (call.count === 0) return { rows: new Float32Array(0), logits: new Float32Array(0) };
    const parts: StageOutput[] = [];
    for (let begin = 0; begin < call.count; ) {
      const room = WINDOW_POSITIONS - (this.length % WINDOW_POSITIONS);
      const end = Math.min(call.count, begin + Math.min(room, this.#rowsPerRun));
      parts.push(...(await this.#runRows(call, begin, end)));
      begin = end;
    }
    if (parts.length === 1) return parts[0]!;
    return { rows: join(parts.map((part) => part.rows)), logits: join(parts.map((part) => part.logits)) };
  }

  /**
   * Runs the offsets `[begin, end)` of a call, all in one window.
   *
   * A row that turns into NaN or infinity would reach rows before it in the same run, because zero probability times
   * NaN is NaN. Such a run is repeated row by row: then each row is what it would have been alone.
   */
  async #runRows(call: StageCall, begin: number, end: number): Promise<StageOutput[]> {
    const start = this.length;
    const { output, finite } = await this.#run(call, begin, end);
    if (finite || end - begin === 1) return [output];
    this.#cache.truncate(start);
    const outputs: StageOutput[] = [];
    for (let i = begin; i < end; i++) outputs.push((await this.#run(call, i, i + 1)).output);
    return outputs;
  }

  /** One run of the session, and its keys and values into the cache. */
  async #run(call: StageCall, begin: number, end: number): Promise<{ output: StageOutput; finite: boolean }> {
    const count = end - begin;
    this.#cache.reserve(this.length + count);
    const results = await this.#session.run(this.#feeds(call, begin, end), this.#outputs);
    if (this.#isDisposed()) {
      for (const tensor of Object.values(results)) tensor.dispose();
      throw new TandemError('DISPOSED', 'the stage was disposed while it ran');
    }
    const finite = this.#cache.append(results, count);
    const logits = this.#shape.hasHead ? (results.logits!.data as Float32Array) : new Float32Array(0);
    return { output: { rows: results.output_rows!.data as Float32Array, logits }, finite };
  }

  #feeds(call: StageCall, begin: number, end: number): Record<string, Tensor> {
    const { Tensor } = this.#runtime;
    const count = end - begin;
    const data = call.data.subarray(begin * call.stride, end * call.stride);
    const past = this.length;
    const windowStart = past - (past % WINDOW_POSITIONS);
    const feeds: Record<string, Tensor> = {
      ...this.#cache.feeds(),
      mask: new Tensor('float32', attentionMask(past, count, this.#cache.capacity), [
        count,
        1,
        this.#cache.capacity + WINDOW_POSITIONS,
      ]),
      // The window's start, the first new position, the end of the new ones, the window's end.
      bounds: new Tensor(
        'int64',
        BigInt64Array.from([windowStart, past, past + count, windowStart + WINDOW_POSITIONS], BigInt),
        [4],
      ),
    };
    if (data instanceof Int32Array) feeds.tokens = new Tensor('int32', data, [count]);
    else feeds.rows = new Tensor('float32', data, [count, this.#shape.width]);
    if (this.#shape.hasHead) {
      const wanted = call.wanted.filter((offset) => offset >= begin && offset < end).map((offset) => offset - begin);
      feeds.wanted = new Tensor('int32', wanted, [wanted.length]);
    }
    return feeds;
  }
}

/** A checked forward: `data (count, stride)`, with a stride of 1 for token ids. */
interface StageCall {
  data: Int32Array | Float32Array;
  stride: number;
  count: number;
  wanted: Int32Array;
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

function join(parts: Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
