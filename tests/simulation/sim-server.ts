import {
  ContextCache,
  createSessionHost,
  type Metrics,
  Scheduler,
  type SessionHost,
  type Visitor,
} from '@tandem/cloud';
import { EngineSupervisor, LargerModel, rollingEntropyHandOff } from '@tandem/cloud/testing';
import { type Clock, type Connect, createMemoryPipe } from '@tandem/shared';
import { SILENT } from '../support/session-bench.js';
import { EOS } from './hash-chain.js';
import { TOKENIZER } from './hash-manifest.js';
import { LARGER_MODEL } from './larger-text.js';
import type { ServerPlan } from './scenario.js';
import { SimEngineProcess } from './sim-engine-process.js';
import { SimLargerModel } from './sim-larger-model.js';

interface Instance {
  host: SessionHost;
  cache: ContextCache;
  supervisor: EngineSupervisor;
}

const RESTART_MS = 200;
export const KV_BYTES_PER_POSITION = 16;
/** Nobody is refused for want of memory: what is looked at is what happens to those who were let in. */
const OVERCOMMIT = 1e6;

/** A place where a server runs, and runs again: everything of the production server but its sockets and its process. */
export class SimServer {
  readonly #plan: ServerPlan;
  readonly #accuracy: readonly number[];
  readonly #clock: Clock;
  #instance: Instance | undefined;
  /** The engine of the newest instance. An older one that still drains may start another, and keeps it to itself. */
  #place: { process?: SimEngineProcess } = {};
  #started = 0;
  #tokens = 0;
  /** Contexts that gave way, by what was left of them. */
  readonly evictions = { rows: 0, nothing: 0 };
  /** Sessions that began with rows of others. */
  prefixHits = 0;
  /** Runs of several sessions' steps. */
  batches = 0;
  /** Passages by how they ended. */
  readonly passages: Record<string, number> = {};
  /** What writes for all instances here. */
  readonly largerModel: SimLargerModel;
  /** Instances that were stopped and may still be answering. */
  readonly #stopping: Promise<void>[] = [];

  constructor(plan: ServerPlan, accuracy: readonly number[], clock: Clock) {
    this.#plan = plan;
    this.#accuracy = accuracy;
    this.#clock = clock;
    this.largerModel = new SimLargerModel(plan, clock);
  }

  get sessions(): number {
    return this.#instance?.host.sessions ?? 0;
  }

  get connections(): number {
    return this.#instance?.host.connections ?? 0;
  }

  get engineSessions(): number {
    return this.#place.process?.engine.sessions.size ?? 0;
  }

  /** Of contexts that the newest instance counts. */
  get contextBytes(): number {
    const { hot = 0, rows = 0 } = this.#instance?.cache.bytes ?? {};
    return hot + rows;
  }

  /** A server whose engine does not come up ends, and whoever looks after it starts it again. */
  async start(): Promise<void> {
    const place: { process?: SimEngineProcess } = {};
    this.#place = place;
    const supervisor = new EngineSupervisor({ launch: () => this.#launch(place), clock: this.#clock, log: SILENT });
    try {
      await supervisor.start();
    } catch {
      return this.#startIn(RESTART_MS);
    }
    const { sessionsMax, resumeWindowMs, hasEos, contextBudgetBytes, hasResumeTokens } = this.#plan;
    const cache = new ContextCache(contextBudgetBytes, this.#metrics);
    const host = createSessionHost({
      scheduler: new Scheduler(supervisor, this.#clock, this.#metrics),
      eosTokenIds: hasEos ? [EOS] : [],
      cache,
      overcommit: OVERCOMMIT,
      kvBytesPerPosition: () => KV_BYTES_PER_POSITION,
      largerModel: this.#reachLargerModel(),
      metrics: this.#metrics,
      ...(hasResumeTokens ? { drawResumeToken: () => `token ${++this.#tokens}` } : {}),
      sessionsMax,
      resumeWindowMs,
      clock: this.#clock,
      log: SILENT,
    });
    this.#instance = { host, cache, supervisor };
  }

  /** Dials whatever runs here at that moment; refused if nothing does. */
  connect(visitor: Visitor): Connect {
    return (handlers) => {
      const pipe = createMemoryPipe(this.#clock);
      const host = this.#instance?.host;
      if (host) pipe.accept((transport) => host.accept(visitor, transport));
      return pipe.connect(handlers);
    };
  }

  killEngine(): void {
    this.#place.process?.kill();
  }

  failSteps(count: number): void {
    if (this.#place.process) this.#place.process.engine.mishap.failures += count;
  }

  slowDown(factor: number, durationMs: number): void {
    const engine = this.#place.process?.engine;
    if (!engine) return;
    engine.slowness = factor;
    this.#clock.schedule(durationMs, () => {
      engine.slowness = 1;
    });
  }

  /** As `kill -9`: whoever is connected has to be cut by the caller, a dead process closes nothing. */
  crash(downMs: number): void {
    const instance = this.#take();
    if (!instance) return;
    this.#place.process?.kill();
    instance.host.dispose();
    this.#stopping.push(instance.supervisor.stop());
    this.#startIn(downMs);
  }

  /** As SIGTERM: clients are told and answered. The next instance may be there before this one is gone. */
  drain(downMs: number): void {
    const instance = this.#take();
    if (!instance) return;
    this.#stopping.push(stop(instance));
    this.#startIn(downMs);
  }

  async stop(): Promise<void> {
    const instance = this.#take();
    if (instance) this.#stopping.push(stop(instance));
    await Promise.all(this.#stopping);
  }

  readonly #metrics: Metrics = {
    count: (name, _amount, label) => {
      if (name === 'tandem_context_evictions_total') this.evictions[label as 'rows' | 'nothing']++;
      else if (name === 'tandem_prefix_lookups_total' && label === 'hit') this.prefixHits++;
      else if (name === 'tandem_passages_total') this.passages[label!] = (this.passages[label!] ?? 0) + 1;
    },
    observe: (name, value) => {
      if (name === 'tandem_step_sessions' && value > 1) this.batches++;
    },
  };

  /** The production hand-off; only the endpoint is another one. */
  #reachLargerModel(): LargerModel | undefined {
    const { largerModel, hasEos } = this.#plan;
    if (!largerModel) return undefined;
    const { tokensMax, timeoutMs, ...entropy } = largerModel;
    return new LargerModel({
      endpoint: { url: 'http://simulated', model: LARGER_MODEL, key: undefined },
      stream: this.largerModel.stream,
      policy: rollingEntropyHandOff(entropy),
      tokenizer: TOKENIZER,
      eosTokenIds: hasEos ? [EOS] : [],
      tokensMax,
      timeoutMs,
      clock: this.#clock,
      log: SILENT,
      metrics: this.#metrics,
    });
  }

  #take(): Instance | undefined {
    const instance = this.#instance;
    this.#instance = undefined;
    return instance;
  }

  #startIn(downMs: number): void {
    this.#clock.schedule(downMs, () => void this.start());
  }

  #launch(place: { process?: SimEngineProcess }): SimEngineProcess {
    const { startMs, stepMs, batchSlots } = this.#plan;
    const times = { startMs, stepMs, batchSlots };
    const process = new SimEngineProcess(++this.#started, this.#accuracy, times, this.#clock);
    place.process = process;
    return process;
  }
}

async function stop({ host, supervisor }: Instance): Promise<void> {
  await host.drain();
  host.dispose();
  await supervisor.stop();
}
