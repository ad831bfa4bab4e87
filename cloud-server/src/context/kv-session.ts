import { kvCapacity, limits, type StepResult, WINDOW_POSITIONS } from '@tandem/shared';
import type { Metrics } from '../metrics/metrics.js';
import type { Opened, OpenSource, Outcome, Placement, ScheduledStep, StepRunner } from '../scheduler/step-runner.js';
import type { Declaration, Forward } from '../sessions/forward.js';
import type { Span } from '../tracing.js';
import type { RowHistory } from './row-history.js';

export interface KvSessionOptions {
  /** Name in the engines, never used twice in one process. */
  name: string;
  declaration: Declaration;
  /** Who the engines' time is shared between. */
  tenant: string;
  scheduler: StepRunner;
  metrics: Metrics;
}

/**
 * The KV cache of a context, in whatever engine has it at present: it has run the first so many of the context's rows.
 * An engine that dies, or a `close`, takes it back to none; the next `catchUp` opens it anew, in any engine.
 */
export class KvSession {
  readonly #options: KvSessionOptions;
  #placement: Placement | undefined;
  #opens = 0;
  /** Rows in the KV cache, and the most there have been since it was opened. */
  #ran = 0;
  #ranMax = 0;
  /** Rows that ran before and have to run again. */
  #lost = 0;

  constructor(options: KvSessionOptions) {
    this.#options = options;
  }

  get isHot(): boolean {
    return this.#placement !== undefined && this.#options.scheduler.holds(this.#placement);
  }

  get ran(): number {
    return this.#ran;
  }

  /** Positions that memory is taken for. */
  get positions(): number {
    return this.isHot ? kvCapacity(this.#ranMax, this.#options.declaration.capacity) : 0;
  }

  /** Where others can copy the first `length` positions from. */
  sourceOf(length: number): OpenSource | undefined {
    if (!this.#placement || !this.isHot) return undefined;
    return { session: this.#engineSession, placement: this.#placement, length: Math.min(length, this.#ran) };
  }

  /** Rows from `length` on are not those that ran. The engine hears of it with the next step. */
  truncate(length: number): void {
    this.#ran = Math.min(this.#ran, length);
    this.#lost = Math.min(this.#lost, length);
  }

  /** Runs what the KV cache lacks of `rows`, in pieces that let others in between; judges what the forward wants. */
  async catchUp(rows: RowHistory, forward: Forward, source?: OpenSource): Promise<Outcome<ScheduledStep>> {
    const opened = await this.#open(forward, source);
    if (opened.kind !== 'done') return opened;
    const end = rows.length;
    const kind = end - this.#ran > limits.PREFILL_CHUNK_ROWS ? 'prefill' : 'interactive';
    let sum: ScheduledStep = { result: { ...NOTHING, length: this.#ran }, queueMs: 0 };
    while (this.#ran < end && !sum.result.mismatch) {
      const head = rows.headLength;
      // Token ids become rows from position 0 on only, all of them at once.
      if (this.#ran < head) this.#ran = 0;
      const next = this.#ran < head ? head : windowEnd(this.#ran);
      const piece = kind === 'prefill' || this.#ran < head ? Math.min(end, next) : end;
      const to = Math.max(Math.min(head, end), verifyEnd(this.#ran, piece, forward.want));
      const outcome = await this.#step(rows, forward, to, kind);
      if (outcome.kind !== 'done') return outcome;
      sum = add(sum, outcome.value);
    }
    return { kind: 'done', value: sum };
  }

  /** Gives the memory back; resolves when the engine has it. */
  async close(): Promise<void> {
    const closing = this.#placement && this.#options.scheduler.close(this.#engineSession, this.#placement);
    this.#forget();
    await closing;
  }

  #forget(): void {
    this.#placement = undefined;
    this.#lost = Math.max(this.#lost, this.#ranMax);
    this.#ran = 0;
    this.#ranMax = 0;
  }

  async #open({ cancel }: Forward, source: OpenSource | undefined): Promise<Outcome<Opened | Placement>> {
    const { scheduler, declaration, tenant, metrics } = this.#options;
    if (this.#placement && this.isHot) return { kind: 'done', value: this.#placement };
    this.#forget();
    this.#opens++;
    const { capacity, codec } = declaration;
    const session = { session: this.#engineSession, ...this.#stages, capacity, codec };
    // Never behind a step that the source's owner, who is of the same tenant, hands in later: it might replace what is copied.
    const turn = { tenant, kind: 'interactive', rows: 0 } as const;
    const opened = await scheduler.open(session, cancel.signal, turn, source);
    if (opened.kind === 'done') {
      this.#placement = opened.value;
      this.#ran = opened.value.length;
      this.#ranMax = opened.value.length;
      if (this.#lost > 0) metrics.count('tandem_context_rebuilds_total');
    }
    return opened;
  }

  async #step(
    rows: RowHistory,
    forward: Forward,
    to: number,
    kind: 'prefill' | 'interactive',
  ): Promise<Outcome<ScheduledStep>> {
    const { scheduler, tenant, metrics } = this.#options;
    const from = this.#ran;
    const first = forward.want.findIndex((row) => row >= from);
    const want = forward.want.filter((row) => row >= from && row < to);
    const request = {
      session: this.#engineSession,
      from,
      input: rows.input(from, to),
      depth: this.#stages.endStage - this.#stages.firstStage,
      want,
      drafts: forward.drafts.slice(first, first + want.length),
      sampling: forward.sampling,
      // Only a larger model's turn depends on how sure the small one is.
      needsEvidence: this.#options.declaration.largerModel,
    };
    const turn = { tenant, kind, rows: to - from };
    const span = forward.span.begin('tandem.step', { kind, rows: to - from, engine: this.#placement!.engine });
    const outcome = await scheduler.step(request, this.#placement!, forward.cancel.signal, turn);
    endSpan(span, outcome);
    if (outcome.kind !== 'done') return outcome;
    this.#ran = outcome.value.result.length;
    this.#ranMax = Math.max(this.#ranMax, to);
    const again = Math.min(to, this.#lost) - from;
    if (again > 0) metrics.count('tandem_context_rebuilt_rows_total', again);
    if (to >= this.#lost) this.#lost = 0;
    return outcome;
  }

  /** A name of its own for every opening: closing the last one may still be in some engine's queue. */
  get #engineSession(): string {
    return `${this.#options.name}.${this.#opens}`;
  }

  /** Rows enter at the cut, token ids at the bottom. */
  get #stages(): { firstStage: number; endStage: number } {
    const { deviceStages, stages } = this.#options.scheduler.info;
    return { firstStage: this.#options.declaration.context === 'rows' ? deviceStages : 0, endStage: stages };
  }
}

function endSpan(span: Span, outcome: Outcome<ScheduledStep>): void {
  if (outcome.kind === 'failed') return span.end({}, outcome.error.code);
  if (outcome.kind === 'cancelled') return span.end({ cancelled: true });
  const { result, queueMs } = outcome.value;
  span.end({ queueMs, engineMs: result.engineMs, tokens: result.choices.length, mismatch: result.mismatch });
}

/**
 * Where a step that judges drafts ends: behind the first few. Most often one of them is wrong, and the rows after it would have
 * run for nothing; that costs a session with long runs of right drafts a second step, and everybody else's wait less.
 */
function verifyEnd(from: number, end: number, want: readonly number[]): number {
  const first = want.findIndex((row) => row >= from);
  const last = first < 0 ? undefined : want[first + limits.VERIFY_DRAFTS_MAX - 1];
  // A tail of a row or two is not worth a step of its own.
  return last !== undefined && end - last > 1 + limits.VERIFY_DRAFTS_MAX / 4 ? last + 1 : end;
}

/** The first position behind `position` where a window of the stages ends: a piece that crosses none is one run. */
function windowEnd(position: number): number {
  return (Math.floor(position / WINDOW_POSITIONS) + 1) * WINDOW_POSITIONS;
}

const NOTHING: StepResult = {
  choices: [],
  mismatch: false,
  encodedRows: new Uint8Array(0),
  rowsFrom: 0,
  length: 0,
  engineMs: 0,
};

function add(sum: ScheduledStep, { result, queueMs }: ScheduledStep): ScheduledStep {
  return {
    result: {
      ...result,
      choices: [...sum.result.choices, ...result.choices],
      engineMs: sum.result.engineMs + result.engineMs,
    },
    queueMs: sum.queueMs + queueMs,
  };
}
