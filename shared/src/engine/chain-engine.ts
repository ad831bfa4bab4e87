import { rowCodec, throughCodec } from '../codec/registry.js';
import type { RowCodec } from '../codec/row-codec.js';
import { TandemError } from '../errors.js';
import { ROW_MAGNITUDE_MAX } from '../limits.js';
import type { Clock } from '../platform/clock.js';
import { gatherEvidence, NO_EVIDENCE } from '../sampling/evidence.js';
import { logprobsOf } from '../sampling/logprobs.js';
import { chooseRanked } from '../sampling/sampler.js';
import { type GroupMember, runTogether } from '../stage/chain-group.js';
import type { StageBatch, StageInput, StageModel } from '../stage/stage.js';
import { type ChainOutput, StageChain } from '../stage/stage-chain.js';
import {
  type Choice,
  type CopyRequest,
  type Engine,
  type EngineInfo,
  type EngineInput,
  type EngineSession,
  NO_DRAFT,
  type StepOutcome,
  type StepRequest,
  type StepResult,
} from './engine.js';

/**
 * The engine itself: loaded stage models, a chain of stages per session. Runs where it is constructed; hosts put it
 * into a worker or a child process, because a native run blocks the event loop.
 */
export class ChainEngine implements Engine {
  readonly info: EngineInfo;
  readonly #models: StageModelSource;
  #batches: StageBatches | undefined;
  readonly #clock: Clock;
  readonly #sessions = new Map<string, ChainSession>();

  /** `batches`: where `info.batch` says that there are any. */
  constructor(info: EngineInfo, models: StageModelSource, clock: Clock, batches?: StageBatches) {
    this.info = info;
    this.#models = models;
    this.#clock = clock;
    this.#batches = batches;
  }

  async open(options: EngineSession): Promise<void> {
    this.#sessions.get(options.session)?.chain.dispose();
    if (options.capacity > this.info.contextLength) {
      throw new TandemError(
        'CONTEXT_TOO_LONG',
        `${options.capacity} positions asked for, the model's context is ${this.info.contextLength}`,
      );
    }
    const codec = rowCodec(options.codec);
    const models: StageModel[] = [];
    for (let index = options.firstStage; index < options.endStage; index++) models.push(await this.#models(index));
    const cutAfter = this.info.deviceStages - 1 - options.firstStage;
    const crossesCut = cutAfter >= 0 && options.endStage > this.info.deviceStages;
    const chain = new StageChain(
      models.map((model) => {
        const stage = model.open(options.capacity);
        if (options.reserve) stage.reserve?.(options.capacity);
        return stage;
      }),
      this.info.width,
      crossesCut ? { afterStage: cutAfter, codec } : undefined,
    );
    const endsAtCut = options.endStage === this.info.deviceStages;
    this.#sessions.set(options.session, { chain, codec, firstStage: options.firstStage, endsAtCut });
  }

  async step(request: StepRequest): Promise<StepResult> {
    const [outcome] = await this.stepTogether([request]);
    if (outcome instanceof Error) throw outcome;
    return outcome!;
  }

  async stepTogether(requests: readonly StepRequest[]): Promise<StepOutcome[]> {
    const startedMs = this.#clock.now();
    const begun = await Promise.all(requests.map((request) => this.#begin(request).catch((error: Error) => error)));
    const steps = begun.filter((each): each is Step => !(each instanceof Error));
    const failed = await runTogether(steps, async (stage) => this.#batches?.of(stage));
    return begun.map((each) => {
      if (each instanceof Error) return each;
      return failed.get(each) ?? this.#finish(each, startedMs);
    });
  }

  async dropBatches(): Promise<void> {
    await this.#batches?.dispose();
    this.#batches = undefined;
  }

  async copy({ source, target, length }: CopyRequest): Promise<number> {
    const from = this.#sessions.get(source);
    const to = this.#session(target);
    if (!from || from.chain.depth !== to.chain.depth || from.codec !== to.codec) return 0;
    return to.chain.copyFrom(from.chain, length);
  }

  async close(session: string): Promise<void> {
    this.#sessions.get(session)?.chain.dispose();
    this.#sessions.delete(session);
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) session.chain.dispose();
    this.#sessions.clear();
  }

  /** Brings the chain to where the request begins, and its input into it. */
  async #begin(request: StepRequest): Promise<Step> {
    const { chain, codec, firstStage, endsAtCut } = this.#session(request.session);
    for (const place of request.exchange ?? []) chain.exchange(place);
    if (request.from > chain.length) {
      throw new TandemError('PROTOCOL_VIOLATION', `input from ${request.from}, but the engine holds ${chain.length}`);
    }
    // Decoded first: input that is refused leaves the chain as it was.
    const given = request.input && this.#decode(request.input, codec);
    const input =
      given?.kind === 'tokens' && firstStage > 0 ? await this.#makeRows(given, firstStage, codec, request) : given;
    chain.truncate(request.from);
    if (input) chain.append(input);
    const rowsFrom = chain.stageLength(chain.depth - 1);
    const { depth, want } = request;
    return { request, chain, codec, endsAtCut, rowsFrom, firstStage, depth, run: chain.begin(depth, want) };
  }

  #finish({ request, chain, codec, endsAtCut, rowsFrom, run }: Step, startedMs: number): StepResult {
    const { output } = run;
    const { choices, mismatch } = this.#judge(output, request);
    const judged = choices.at(-1);
    if (mismatch && judged) chain.truncate(judged.row + 1);
    return {
      choices,
      mismatch,
      encodedRows: endsAtCut && request.depth === chain.depth ? encode(codec, output.rows, this.info.width) : NO_BYTES,
      rowsFrom,
      length: chain.length,
      engineMs: this.#clock.now() - startedMs,
    };
  }

  /** The first choice that differs from its draft is the last: what follows rests on a token that is not there. */
  #judge(output: ChainOutput, request: StepRequest): { choices: Choice[]; mismatch: boolean } {
    const choices: Choice[] = [];
    for (const [index, row] of request.want.entries()) {
      const start = index * this.info.vocabularySize;
      const own = output.logits.subarray(start, start + this.info.vocabularySize);
      const { token, second } = chooseRanked(own, request.sampling, row + 1);
      const rowSimilarity = similarity(output, row - output.first, this.info.width);
      const choice: Choice = {
        row,
        token,
        second,
        evidence: request.needsEvidence === false ? NO_EVIDENCE : gatherEvidence(own),
        rowSimilarity,
      };
      const { logprobs } = request.sampling;
      choices.push(logprobs === undefined ? choice : { ...choice, logprobs: logprobsOf(own, token, logprobs) });
      const draft = request.drafts[index];
      if (draft !== undefined && draft !== NO_DRAFT && draft !== token) return { choices, mismatch: true };
    }
    return { choices, mismatch: false };
  }

  #decode(input: EngineInput, codec: RowCodec): StageInput {
    if (input.kind === 'tokens') {
      const stray = input.tokens.find((token) => token < 0 || token >= this.info.vocabularySize);
      if (stray === undefined) return input;
      throw new TandemError('PROTOCOL_VIOLATION', `token id ${stray}, the vocabulary has ${this.info.vocabularySize}`);
    }
    const bytesPerRow = codec.bytesPerRow(this.info.width);
    if (input.bytes.length % bytesPerRow !== 0) {
      throw new TandemError(
        'PROTOCOL_VIOLATION',
        `${input.bytes.length} bytes of rows, one row in ${codec.name} has ${bytesPerRow}`,
      );
    }
    const rows = new Float32Array((input.bytes.length / bytesPerRow) * this.info.width);
    codec.decode(input.bytes, this.info.width, rows);
    const magnitude = magnitudeOf(rows);
    if (!(magnitude <= ROW_MAGNITUDE_MAX)) {
      const message = `a row holds a number of magnitude ${magnitude}, finite ones up to ${ROW_MAGNITUDE_MAX} are allowed`;
      throw new TandemError('PROTOCOL_VIOLATION', message);
    }
    return { kind: 'rows', rows };
  }

  /** What the device would have sent for these tokens; its stages are opened for this once. */
  async #makeRows(input: StageInput, firstStage: number, codec: RowCodec, { from }: StepRequest): Promise<StageInput> {
    if (from !== 0 || input.kind !== 'tokens') {
      throw new TandemError('PROTOCOL_VIOLATION', `token ids from ${from}; rows are made from position 0 on only`);
    }
    const models: StageModel[] = [];
    for (let index = 0; index < firstStage; index++) models.push(await this.#models(index));
    const { width } = this.info;
    const front = new StageChain(
      models.map((model) => model.open(input.tokens.length)),
      width,
    );
    try {
      front.append(input);
      const { rows } = await front.run(firstStage, []);
      return { kind: 'rows', rows: throughCodec(codec, rows, width) };
    } finally {
      front.dispose();
    }
  }

  #session(id: string): ChainSession {
    const session = this.#sessions.get(id);
    if (!session) throw new TandemError('ENGINE_FAILED', `session ${id} is not open in this engine`);
    return session;
  }
}

/** Loads the model of a stage on first use and keeps it. */
export type StageModelSource = (index: number) => Promise<StageModel>;

/** The batches of stages. */
export interface StageBatches {
  /** Loads the batch of a stage on first use and keeps it; undefined where a stage has none. */
  of(index: number): Promise<StageBatch | undefined>;
  dispose(): Promise<void>;
}

interface ChainSession {
  chain: StageChain;
  codec: RowCodec;
  firstStage: number;
  /** Its last stage is the last before the cut: rows leave encoded. */
  endsAtCut: boolean;
}

/** A step on its way. */
interface Step extends ChainSession, GroupMember {
  request: StepRequest;
  /** Position of the first row that may come out at the cut. */
  rowsFrom: number;
}

const NO_BYTES = new Uint8Array(0);

/** The largest absolute value; NaN where there is one. */
function magnitudeOf(rows: Float32Array): number {
  let largest = 0;
  for (const number of rows) {
    const magnitude = Math.abs(number);
    if (!(magnitude <= largest)) largest = magnitude;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}

function encode(codec: RowCodec, rows: Float32Array, width: number): Uint8Array {
  const bytes = new Uint8Array((rows.length / width) * codec.bytesPerRow(width));
  codec.encode(rows, width, bytes);
  return bytes;
}

/** Cosine between row `index` before and after the stage; both `(n, width)`. */
function similarity({ inputRows, rows }: ChainOutput, index: number, width: number): number {
  if (inputRows.length === 0) return 0;
  let dot = 0;
  let before = 0;
  let after = 0;
  for (let i = index * width; i < (index + 1) * width; i++) {
    const x = inputRows[i]!;
    const y = rows[i]!;
    dot += x * y;
    before += x * x;
    after += y * y;
  }
  return before > 0 && after > 0 ? dot / Math.sqrt(before * after) : 0;
}
