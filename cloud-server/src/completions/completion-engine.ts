import { assert, limits, type SamplingSettings, TandemError } from '@tandem/shared';
import type { Placement, StepRunner } from '../scheduler/step-runner.js';

export interface CompletionEngineOptions {
  scheduler: StepRunner;
  eosTokenIds: ReadonlySet<number>;
}

/** What one completion is made of. */
export interface CompletionJob {
  prompt: readonly number[];
  maxTokens: number;
  sampling: SamplingSettings;
  signal: AbortSignal;
}

/**
 * The whole model for callers without a device: all stages from token ids, one token a step, in the scheduler's queue
 * with everybody else. The tokens are those of the unsplit run with the same seed.
 */
export class CompletionEngine {
  readonly #options: CompletionEngineOptions;
  #opened = 0;

  constructor(options: CompletionEngineOptions) {
    this.#options = options;
  }

  /** Ends behind an end-of-text token, which is given out, too. @throws TandemError CONTEXT_TOO_LONG, ENGINE_FAILED, ABORTED */
  async *tokens(job: CompletionJob): AsyncGenerator<number> {
    const { scheduler, eosTokenIds } = this.#options;
    const { contextLength } = scheduler.info;
    if (job.prompt.length > contextLength) {
      const message = `the prompt has ${job.prompt.length} tokens, the model's context is ${contextLength}`;
      throw new TandemError('CONTEXT_TOO_LONG', message);
    }
    const session = `completion-${++this.#opened}`;
    const text = [...job.prompt];
    const run: EngineRun = { session, capacity: Math.min(contextLength, text.length + job.maxTokens), length: 0 };
    try {
      for (let count = 0; count < job.maxTokens && text.length <= contextLength; count++) {
        const token = await this.#next(run, text, job);
        text.push(token);
        yield token;
        if (eosTokenIds.has(token)) return;
      }
    } finally {
      if (run.placement) void scheduler.close(session, run.placement);
    }
  }

  /** The token behind `text`. An engine that died in between gets all of it again. */
  async #next(run: EngineRun, text: readonly number[], job: CompletionJob): Promise<number> {
    for (let failures = 0; ; ) {
      try {
        await this.#open(run, job.signal);
        for (;;) {
          const token = await this.#step(run, text, job);
          if (token !== undefined) return token;
        }
      } catch (error) {
        const isLost = error instanceof TandemError && error.code === 'ENGINE_FAILED';
        if (!isLost || ++failures > limits.ENGINE_RETRIES_MAX) throw error;
        if (run.placement) void this.#options.scheduler.close(run.session, run.placement);
        run.placement = undefined;
      }
    }
  }

  async #open(run: EngineRun, signal: AbortSignal): Promise<void> {
    const { scheduler } = this.#options;
    if (run.placement && scheduler.holds(run.placement)) return;
    const { session, capacity } = run;
    const stages = { firstStage: 0, endStage: scheduler.info.stages };
    const opened = await scheduler.open({ session, ...stages, capacity, codec: 'f32' }, signal);
    if (opened.kind === 'failed') throw opened.error;
    if (opened.kind === 'cancelled') throw aborted(signal);
    run.placement = opened.value;
    run.length = 0;
  }

  /** Feeds what the engine lacks, a bounded piece at a time; the last piece gives the token. */
  async #step(
    run: EngineRun,
    text: readonly number[],
    { sampling, signal }: CompletionJob,
  ): Promise<number | undefined> {
    const { scheduler } = this.#options;
    const { session, length: from, placement } = run;
    const piece = text.slice(from, from + limits.PREFILL_CHUNK_ROWS);
    const end = from + piece.length;
    const want = end === text.length ? [end - 1] : [];
    const input = { kind: 'tokens' as const, tokens: Int32Array.from(piece) };
    const request = { session, from, input, depth: scheduler.info.stages, want, drafts: [], sampling };
    const kind = text.length - from > limits.PREFILL_CHUNK_ROWS ? 'prefill' : 'interactive';
    assert(placement, 'a session is open before it is stepped');
    const outcome = await scheduler.step(request, placement, signal, { tenant: TENANT, kind, rows: piece.length });
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'cancelled') throw aborted(signal);
    run.length = outcome.value.result.length;
    return outcome.value.result.choices[0]?.token;
  }
}

/** All completions share the engines with the sessions as one tenant. */
const TENANT = 'completions';

/** A completion's place in the engine. */
interface EngineRun {
  session: string;
  capacity: number;
  /** Positions that the engine holds. */
  length: number;
  /** Where the session is open; undefined: nowhere. */
  placement?: Placement | undefined;
}

function aborted(signal: AbortSignal): TandemError {
  return new TandemError('ABORTED', 'nobody waits for the completion', { cause: signal.reason });
}
