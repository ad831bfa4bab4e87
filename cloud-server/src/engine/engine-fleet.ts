import { availableParallelism } from 'node:os';
import { type Clock, type Engine, type EngineInfo, limits } from '@tandem/shared';
import type { Log } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';
import { EnginePool } from '../scheduler/engine-pool.js';
import { Scheduler } from '../scheduler/scheduler.js';
import { appraiseBatch } from './batch-worth.js';
import { type EngineProcessOptions, forkEngine } from './child-process-engine.js';
import { type EngineProcess, EngineSupervisor } from './engine-supervisor.js';

export interface EngineFleetOptions {
  count: number;
  engine: EngineProcessOptions;
  /** Sessions whose steps run as one; `auto`: a usual number, if that proves quicker. */
  batch: number | 'auto';
  /** Starts a process; a test may bring its own. */
  launch?: (() => EngineProcess) | undefined;
  clock: Clock;
  log: Log;
  metrics: Metrics;
}

/** All engine processes of a server, each with its supervisor and its queue. */
export class EngineFleet {
  readonly pool: EnginePool;
  readonly #supervisors: readonly EngineSupervisor[];

  constructor({ count, engine, batch, launch, clock, log, metrics }: EngineFleetOptions) {
    const shared = { ...engine, ...threadsOf(engine, count) };
    const slots = batch === 'auto' ? limits.BATCH_SLOTS : batch;
    // What was found out of the first one holds for those that come after it.
    const fork = (before?: EngineInfo) =>
      forkEngine({ ...shared, batchSlots: before ? (before.batch?.slots ?? 1) : slots });
    const appraise = async (engine: Engine): Promise<EngineInfo> => {
      const worth = await appraiseBatch(engine, batch, clock);
      return { ...engine.info, ...(worth ? { batch: worth } : {}) };
    };
    this.#supervisors = Array.from(
      { length: count },
      () => new EngineSupervisor({ launch: launch ?? fork, appraise, clock, log, metrics }),
    );
    this.pool = new EnginePool(
      this.#supervisors.map((supervisor, index) => new Scheduler(supervisor, clock, metrics, index)),
    );
  }

  /** Of those that run at this moment. */
  get processIds(): readonly number[] {
    return this.#supervisors.flatMap(({ processId }) => (processId === undefined ? [] : [processId]));
  }

  /** The first start of all; rejects when one cannot, and stops the others then. */
  async start(): Promise<void> {
    const started = await Promise.allSettled(this.#supervisors.map((supervisor) => supervisor.start()));
    const failed = started.find((outcome) => outcome.status === 'rejected');
    if (!failed) return;
    await this.stop();
    throw failed.reason;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop()));
  }
}

/** Several engines that each take all cores would only get into each other's way. */
function threadsOf({ threads }: EngineProcessOptions, count: number): { threads?: number } {
  if (threads !== undefined || count === 1) return {};
  return { threads: Math.max(1, Math.floor(availableParallelism() / count)) };
}
