import {
  type Clock,
  type Engine,
  type EngineInfo,
  type EngineSession,
  type StepRequest,
  type StepResult,
  TandemError,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import type { EngineSource } from '../engine/engine-source.js';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import { FairQueue, type QueuedJob } from './fair-queue.js';
import type { Opened, OpenSource, Outcome, Placement, ScheduledStep, StepRunner, Turn } from './step-runner.js';

/**
 * One run of the engine at a time, in the order of a FairQueue. A session hands in its next step only when it has the result
 * of the last: nobody has two places in the queue.
 *
 * Where the engine found at load that it is quicker so, a run is the steps of several sessions: those whose turn it is, as
 * far as there are slots, and rows in a window (docs/decisions/0061-batching-across-sessions.md).
 */
export class Scheduler implements StepRunner {
  readonly #source: EngineSource;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #engine: number;
  readonly #queue = new FairQueue<Job>();
  #isDraining = false;

  /** `engine`: its index, where there are several. */
  constructor(source: EngineSource, clock: Clock, metrics: Metrics = NO_METRICS, engine = 0) {
    this.#source = source;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#engine = engine;
  }

  get info(): EngineInfo {
    return this.#source.info;
  }

  get isAvailable(): boolean {
    return this.#source.isAvailable;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** False while the engine is between two lives. */
  get isRunning(): boolean {
    return this.#source.isRunning ?? this.isAvailable;
  }

  holds({ generation }: Placement): boolean {
    return generation === this.#source.generation;
  }

  open(
    session: EngineSession,
    signal: AbortSignal,
    turn: Turn = ANYBODY,
    source?: OpenSource,
  ): Promise<Outcome<Opened>> {
    return this.#submit({ ...turn, rows: 0 }, signal, async (engine) => {
      // Read before the call: an engine that dies in it takes the session along.
      const placement = { engine: this.#engine, generation: this.#source.generation };
      await engine.open(session);
      return { ...placement, length: source ? await this.#copy(engine, session.session, source) : 0 };
    });
  }

  step(
    request: StepRequest,
    placement: Placement,
    signal: AbortSignal,
    turn: Turn = ANYBODY,
  ): Promise<Outcome<ScheduledStep>> {
    return this.#submit(turn, signal, { request, placement });
  }

  async close(session: string, placement: Placement): Promise<void> {
    if (!this.holds(placement)) return;
    await this.#submit(ANYBODY, undefined, async (engine) => {
      if (this.holds(placement)) await engine.close(session);
    });
  }

  async #copy(engine: Engine, target: string, source: OpenSource): Promise<number> {
    if (source.placement.engine !== this.#engine || !this.holds(source.placement)) return 0;
    return (await engine.copy?.({ source: source.session, target, length: source.length })) ?? 0;
  }

  #submit<Value>(turn: Turn, signal: AbortSignal | undefined, work: Work<Value>): Promise<Outcome<Value>> {
    if (signal?.aborted) return Promise.resolve(CANCELLED);
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#queue.remove(job);
        this.#metrics.count('tandem_cancelled_steps_total');
        resolve(CANCELLED);
      };
      const job: Job = {
        ...turn,
        signal,
        enqueuedAtMs: this.#clock.now(),
        work,
        // What has begun ends, whatever the signal says.
        begin: () => signal?.removeEventListener('abort', onAbort),
        settle: (outcome) => resolve(outcome as Outcome<Value>),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(job);
      void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (let job = this.#queue.take(); job; job = this.#queue.take()) {
      const jobs = [job, ...this.#companionsOf(job)];
      if (this.#isQuickerTogether(jobs)) await this.#run(jobs);
      else for (const each of jobs) await this.#run([each]);
    }
    this.#isDraining = false;
  }

  /** The steps behind it, as long as the next one in turn still fits in the same run. */
  #companionsOf(first: Job): Job[] {
    const { slots } = this.info.batch ?? ALONE;
    const companions: Job[] = [];
    if (isCall(first.work)) return companions;
    let rows = first.rows;
    const fits = (job: Job) => !isCall(job.work) && rows + job.rows <= WINDOW_POSITIONS;
    while (companions.length + 1 < slots) {
      const job = this.#queue.take(fits);
      if (!job) break;
      companions.push(job);
      rows += job.rows;
    }
    return companions;
  }

  #isQuickerTogether(jobs: readonly Job[]): boolean {
    const { from } = this.info.batch ?? ALONE;
    return jobs.length >= (jobs.every(({ rows }) => rows === 1) ? from.singles : from.verifies);
  }

  /** One call, or the steps of one run. */
  async #run(jobs: readonly Job[]): Promise<void> {
    for (const { begin } of jobs) begin();
    try {
      const engine = await this.#source.current();
      const nowMs = this.#clock.now();
      const steps: StepJob[] = [];
      for (const job of jobs) {
        const { work } = job;
        // The wait for an engine may have been long.
        if (job.signal?.aborted) job.settle(CANCELLED);
        else if (isCall(work)) job.settle({ kind: 'done', value: await work(engine) });
        else if (!this.holds(work.placement)) job.settle({ kind: 'failed', error: sessionLost() });
        else steps.push({ ...job, request: work.request, queueMs: nowMs - job.enqueuedAtMs });
      }
      if (steps.length > 0) await this.#step(engine, steps);
    } catch (error) {
      for (const { settle } of jobs) settle({ kind: 'failed', error: asTandemError(error) });
    }
  }

  async #step(engine: Engine, jobs: readonly StepJob[]): Promise<void> {
    const requests = jobs.map(({ request }) => request);
    const outcomes = jobs.length > 1 ? await engine.stepTogether!(requests) : [await engine.step(requests[0]!)];
    const ran = outcomes.find((outcome) => !(outcome instanceof Error)) as StepResult | undefined;
    this.#metrics.observe('tandem_step_sessions', jobs.length);
    // Of the run, not of every step in it: its sum is the time that the engine was busy.
    if (ran) this.#metrics.observe('tandem_step_seconds', ran.engineMs / 1_000, jobs[0]!.kind);
    for (const [index, { kind, rows, queueMs, settle }] of jobs.entries()) {
      const result = outcomes[index]!;
      if (result instanceof Error) {
        settle({ kind: 'failed', error: asTandemError(result) });
        continue;
      }
      this.#metrics.count('tandem_steps_total', 1, kind);
      this.#metrics.observe('tandem_step_rows', rows, kind);
      this.#metrics.observe('tandem_queue_wait_seconds', queueMs / 1_000, kind);
      settle({ kind: 'done', value: { result, queueMs } });
    }
  }
}

/** Something else that is asked of the engine, by itself. */
type Call<Value> = (engine: Engine) => Promise<Value>;

/** A step of a session, which may run together with others'. */
interface SessionStep {
  request: StepRequest;
  placement: Placement;
}

type Work<Value> = Call<Value> | SessionStep;

function isCall<Value>(work: Work<Value>): work is Call<Value> {
  return typeof work === 'function';
}

interface Job extends QueuedJob {
  signal: AbortSignal | undefined;
  enqueuedAtMs: number;
  work: Work<unknown>;
  begin(): void;
  settle(outcome: Outcome<unknown>): void;
}

interface StepJob extends Job {
  request: StepRequest;
  queueMs: number;
}

const CANCELLED = { kind: 'cancelled' } as const;

/** Of engines that take one session at a time. */
const ALONE = { slots: 1, from: { singles: 2, verifies: 2 } };

function sessionLost(): TandemError {
  return new TandemError('ENGINE_FAILED', 'the engine was restarted and has lost the session');
}

/** The turn of those who have no tenant: probes, and hosts with one. */
const ANYBODY: Turn = { tenant: '', kind: 'interactive', rows: 0 };

function asTandemError(error: unknown): TandemError {
  if (error instanceof TandemError) return error;
  return new TandemError('ENGINE_FAILED', 'the engine threw', { cause: error });
}
