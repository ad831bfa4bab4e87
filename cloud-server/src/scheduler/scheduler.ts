import {
  type Clock,
  type Engine,
  type EngineInfo,
  type EngineSession,
  type StepRequest,
  TandemError,
} from '@tandem/shared';
import type { EngineSource } from '../engine/engine-source.js';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import { FairQueue, type QueuedJob } from './fair-queue.js';
import type { Opened, OpenSource, Outcome, Placement, ScheduledStep, StepRunner, Turn } from './step-runner.js';

/**
 * One engine step at a time, in the order of a FairQueue. A session hands in its next step only when it has the result
 * of the last: nobody has two places in the queue.
 *
 * Steps of several sessions are not run as one: docs/decisions/0061-no-batching-across-sessions.md has the figures.
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
    return this.#submit(turn, signal, async (engine, queueMs) => {
      if (!this.holds(placement)) {
        throw new TandemError('ENGINE_FAILED', 'the engine was restarted and has lost the session');
      }
      const result = await engine.step(request);
      this.#metrics.count('tandem_steps_total', 1, turn.kind);
      this.#metrics.observe('tandem_step_rows', turn.rows, turn.kind);
      this.#metrics.observe('tandem_step_seconds', result.engineMs / 1_000, turn.kind);
      this.#metrics.observe('tandem_queue_wait_seconds', queueMs / 1_000, turn.kind);
      return { result, queueMs };
    });
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

  #submit<Value>(
    turn: Turn,
    signal: AbortSignal | undefined,
    run: (engine: Engine, queueMs: number) => Promise<Value>,
  ): Promise<Outcome<Value>> {
    if (signal?.aborted) return Promise.resolve({ kind: 'cancelled' });
    return new Promise((resolve) => {
      const enqueuedAtMs = this.#clock.now();
      const onAbort = () => {
        if (this.#queue.remove(job)) this.#metrics.count('tandem_cancelled_steps_total');
        resolve({ kind: 'cancelled' });
      };
      const job: Job = {
        ...turn,
        run: async () => {
          signal?.removeEventListener('abort', onAbort);
          resolve(await this.#attempt(signal, enqueuedAtMs, run));
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(job);
      void this.#drain();
    });
  }

  async #attempt<Value>(
    signal: AbortSignal | undefined,
    enqueuedAtMs: number,
    run: (engine: Engine, queueMs: number) => Promise<Value>,
  ): Promise<Outcome<Value>> {
    try {
      const engine = await this.#source.current();
      // The wait for an engine may have been long.
      if (signal?.aborted) return { kind: 'cancelled' };
      return { kind: 'done', value: await run(engine, this.#clock.now() - enqueuedAtMs) };
    } catch (error) {
      return { kind: 'failed', error: asTandemError(error) };
    }
  }

  async #drain(): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (let job = this.#queue.take(); job; job = this.#queue.take()) await job.run();
    this.#isDraining = false;
  }
}

interface Job extends QueuedJob {
  run(): Promise<void>;
}

/** The turn of those who have no tenant: probes, and hosts with one. */
const ANYBODY: Turn = { tenant: '', kind: 'interactive', rows: 0 };

function asTandemError(error: unknown): TandemError {
  if (error instanceof TandemError) return error;
  return new TandemError('ENGINE_FAILED', 'the engine threw', { cause: error });
}
