import { throughCodec } from '../codec/registry.js';
import type { RowCodec } from '../codec/row-codec.js';
import { assert } from '../errors.js';
import type { Stage, StageForward, StageInput, StageOutput, StageTail } from './stage.js';

/**
 * Consecutive stages of one session, in one process: all of a model's (the unsplit run, cloud-only), those before
 * the cut (device) or those behind it (server).
 *
 * A stage may lag behind the one before it: when a token leaves at an early exit, its rows wait here until a later
 * token goes deeper, and then run in the same batch. Nothing is skipped, so every KV entry is exact
 * (KV recomputation, EE-LLM, Chen et al. 2024, section 4.2).
 */
export class StageChain {
  readonly #stages: readonly Stage[];
  /** `#pending[i]`: input of stage i for the positions `[stages[i].length, …)` that it has not run yet. */
  readonly #pending: (StageInput | undefined)[];
  readonly #width: number;
  readonly #cut: Cut | undefined;
  /** The other continuation of the positions before `from`. */
  #aside: { from: number; stages: AsideStage[] } | undefined;

  /** `cut`: present when the chain crosses the cut in process, so that deeper stages see what the wire would give them. */
  constructor(stages: readonly Stage[], width: number, cut?: Cut) {
    this.#stages = stages;
    this.#pending = stages.map(() => undefined);
    this.#width = width;
    this.#cut = cut;
  }

  /** Positions that were appended, run or not. */
  get length(): number {
    return this.stageLength(0) + this.#count(this.#pending[0]);
  }

  get depth(): number {
    return this.#stages.length;
  }

  /** Positions that stage `index` has in its KV cache. */
  stageLength(index: number): number {
    const stage = this.#stages[index];
    assert(stage, `stage ${index} of ${this.#stages.length}`);
    return stage.length;
  }

  append(input: StageInput): void {
    this.#pending[0] = join(this.#pending[0], input);
  }

  /**
   * Brings the first `depth` stages up to the last appended position.
   * `want`: ascending positions, not yet run by stage `depth - 1`, whose logits at its head are returned.
   */
  async run(depth: number, want: readonly number[]): Promise<ChainOutput> {
    const run = this.begin(depth, want);
    for (let index = 0; index < depth; index++) {
      const next = run.next(index);
      if (next) run.take(index, await next.stage.forward(next.input, next.wanted));
    }
    return run.output;
  }

  /** The same, one stage after the other, by whoever calls: so that several chains' stages can run together. */
  begin(depth: number, want: readonly number[]): ChainRun {
    let output: ChainOutput = NOTHING;
    return {
      next: (index) => this.#next(index, index === depth - 1 ? want : []),
      take: (index, { rows, logits }) => {
        const input = this.#pending[index]!;
        const first = this.#stages[index]!.length - this.#count(input);
        output = { rows, logits, inputRows: input.kind === 'rows' ? input.rows : NO_ROWS, first };
        this.#pending[index] = undefined;
        if (index + 1 < this.#stages.length) this.#handOver(index, rows);
      },
      get output() {
        return output;
      },
    };
  }

  #next(index: number, want: readonly number[]): StageForward | undefined {
    const input = this.#pending[index];
    const stage = this.#stages[index]!;
    assert(input || want.length === 0, 'logits are wanted of positions that ran before');
    return input && { stage, input, wanted: Int32Array.from(want, (position) => position - stage.length) };
  }

  /**
   * Exchanges all positions from `from` on for those that the last exchange at this place put aside: none, the first
   * time. So a chain goes back and forth between two continuations without running a row twice.
   */
  exchange(from: number): void {
    if (this.#aside?.from !== from) this.#forgetAside();
    const incoming = this.#aside?.stages ?? [];
    const outgoing = this.#stages.map((stage, index) => ({
      tail: stage.length > from ? stage.copyTail(from) : undefined,
      pending: rest(this.#pending[index], Math.max(0, from - stage.length), this.#width),
    }));
    this.truncate(from);
    for (const [index, { tail, pending }] of incoming.entries()) {
      if (tail) this.#stages[index]!.appendTail(tail);
      tail?.release?.();
      if (pending) this.#pending[index] = join(this.#pending[index], pending);
    }
    this.#aside = { from, stages: outgoing };
  }

  /** Takes the first `length` positions over from a chain of the same stages, as far as all of them have run. */
  copyFrom(source: StageChain, length: number): number {
    assert(this.length === 0, 'only an empty chain takes over');
    const count = source.#stages.reduce((least, stage) => Math.min(least, stage.length), length);
    if (count === 0) return 0;
    for (const [index, stage] of this.#stages.entries()) {
      const tail = source.#stages[index]!.copyTail(0);
      stage.appendTail(beginningOf(tail, count));
      tail.release?.();
    }
    return count;
  }

  /** Forgets every position from `length` on, in all stages. */
  truncate(length: number): void {
    if (this.#aside && length < this.#aside.from) this.#forgetAside();
    this.#stages.forEach((stage, index) => {
      const pending = this.#pending[index];
      const keep = length - stage.length;
      if (keep < 0) stage.truncate(length);
      if (pending && keep < this.#count(pending)) {
        this.#pending[index] = keep > 0 ? head(pending, keep, this.#width) : undefined;
      }
    });
  }

  dispose(): void {
    this.#forgetAside();
    for (const stage of this.#stages) stage.dispose();
  }

  #forgetAside(): void {
    for (const { tail } of this.#aside?.stages ?? []) tail?.release?.();
    this.#aside = undefined;
  }

  #handOver(index: number, rows: Float32Array): void {
    const seen = this.#cut?.afterStage === index ? throughCodec(this.#cut.codec, rows, this.#width) : rows;
    this.#pending[index + 1] = join(this.#pending[index + 1], { kind: 'rows', rows: seen });
  }

  #count(input: StageInput | undefined): number {
    if (!input) return 0;
    return input.kind === 'tokens' ? input.tokens.length : input.rows.length / this.#width;
  }
}

/** `keys` and `values` are `(count, kvHeads, headDim)`: their beginning is a part of the array. */
function beginningOf(tail: StageTail, count: number): StageTail {
  const cut = (array: Float32Array) => array.subarray(0, (array.length / tail.count) * count);
  return { ...tail, from: 0, count, keys: tail.keys.map(cut), values: tail.values.map(cut) };
}

export interface Cut {
  /** Index of the last stage before the cut. */
  afterStage: number;
  codec: RowCodec;
}

/** What one stage had run and what it had yet to run. */
interface AsideStage {
  tail: StageTail | undefined;
  pending: StageInput | undefined;
}

/** A run of a chain on its way. Stages are asked for in their order. */
export interface ChainRun {
  /** What stage `index` of the chain has to run, if anything. */
  next(index: number): StageForward | undefined;
  /** What that gave. */
  take(index: number, output: StageOutput): void;
  /** What the deepest stage gave that had anything to run. */
  readonly output: ChainOutput;
}

export interface ChainOutput {
  /** Rows that the deepest stage gave in this run, `(n, width)`. */
  rows: Float32Array;
  /** `(want.length, vocabularySize)` */
  logits: Float32Array;
  /** What the deepest stage read, `(n, width)`; empty where it read token ids. */
  inputRows: Float32Array;
  /** Position of the first of these rows. */
  first: number;
}

const NO_ROWS = new Float32Array(0);
const NOTHING: ChainOutput = { rows: NO_ROWS, logits: NO_ROWS, inputRows: NO_ROWS, first: 0 };

function join(first: StageInput | undefined, second: StageInput): StageInput {
  if (!first) return second;
  if (first.kind === 'tokens' && second.kind === 'tokens') {
    const tokens = new Int32Array(first.tokens.length + second.tokens.length);
    tokens.set(first.tokens);
    tokens.set(second.tokens, first.tokens.length);
    return { kind: 'tokens', tokens };
  }
  assert(first.kind === 'rows' && second.kind === 'rows', 'a stage reads either tokens or rows');
  const rows = new Float32Array(first.rows.length + second.rows.length);
  rows.set(first.rows);
  rows.set(second.rows, first.rows.length);
  return { kind: 'rows', rows };
}

function head(input: StageInput, count: number, width: number): StageInput {
  return input.kind === 'tokens'
    ? { kind: 'tokens', tokens: input.tokens.slice(0, count) }
    : { kind: 'rows', rows: input.rows.slice(0, count * width) };
}

function rest(input: StageInput | undefined, from: number, width: number): StageInput | undefined {
  if (!input) return undefined;
  if (input.kind === 'tokens')
    return from < input.tokens.length ? { kind: 'tokens', tokens: input.tokens.slice(from) } : undefined;
  return from * width < input.rows.length ? { kind: 'rows', rows: input.rows.slice(from * width) } : undefined;
}
