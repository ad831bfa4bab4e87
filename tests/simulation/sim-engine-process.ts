import type { EngineProcess } from '@tandem/cloud';
import {
  type ChainEngine,
  type Clock,
  type CopyRequest,
  type Engine,
  type EnginePort,
  type EngineSession,
  type StepRequest,
  serveEngine,
} from '@tandem/shared';
import { hashChainEngine, type Mishap } from './hash-stage-model.js';

export interface EngineTimes {
  startMs: number;
  stepMs: number;
  /** Sessions whose steps it runs as one; undefined: one. */
  batchSlots?: number | undefined;
}

/** An engine process without a process: the production port protocol, and an engine whose steps take virtual time. */
export class SimEngineProcess implements EngineProcess {
  readonly pid: number;
  readonly port: EnginePort;
  readonly engine: SlowEngine;
  #isDead = false;
  readonly #clock: Clock;
  readonly #listeners: ((how: string) => void)[] = [];

  constructor(pid: number, accuracy: readonly number[], times: EngineTimes, clock: Clock) {
    this.pid = pid;
    this.#clock = clock;
    this.engine = new SlowEngine(accuracy, times, clock);
    const [inner, outer] = portPair(() => this.#isDead);
    this.port = outer;
    void serveEngine(inner, async () => {
      await clock.sleep(times.startMs);
      return this.engine;
    });
  }

  onExit(listener: (how: string) => void): void {
    this.#listeners.push(listener);
  }

  release(): void {
    this.#exit('exited with code 0');
  }

  kill(): void {
    this.#exit('was ended by SIGKILL');
  }

  #exit(how: string): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#clock.schedule(0, () => {
      for (const listener of this.#listeners) listener(how);
    });
  }
}

/** Steps take time, and their stages may be told to fail. */
export class SlowEngine implements Engine {
  readonly info;
  /** Sessions that are open now. */
  readonly sessions = new Set<string>();
  /** Steps take so many times as long. */
  slowness = 1;
  readonly mishap: Mishap = { failures: 0 };
  readonly #engine: ChainEngine;
  readonly #times: EngineTimes;
  readonly #clock: Clock;

  constructor(accuracy: readonly number[], times: EngineTimes, clock: Clock) {
    this.#engine = hashChainEngine(accuracy, clock, this.mishap, times.batchSlots);
    this.info = this.#engine.info;
    this.#times = times;
    this.#clock = clock;
  }

  async open(session: EngineSession): Promise<void> {
    await this.#engine.open(session);
    this.sessions.add(session.session);
  }

  async step(request: StepRequest) {
    await this.#clock.sleep(this.#times.stepMs * this.slowness);
    return this.#engine.step(request);
  }

  async stepTogether(requests: readonly StepRequest[]) {
    await this.#clock.sleep(this.#times.stepMs * this.slowness);
    return this.#engine.stepTogether(requests);
  }

  async copy(request: CopyRequest): Promise<number> {
    await this.#clock.sleep(this.#times.stepMs * this.slowness);
    return this.#engine.copy(request);
  }

  async close(session: string): Promise<void> {
    this.sessions.delete(session);
    await this.#engine.close(session);
  }

  dispose(): Promise<void> {
    return this.#engine.dispose();
  }
}

/** Two ends of a message channel; it keeps what comes before somebody listens. What a dead process sends, or is sent, is lost. */
function portPair(isDead: () => boolean): [EnginePort, EnginePort] {
  const listeners: [Listener?, Listener?] = [];
  const early: [unknown[], unknown[]] = [[], []];
  const end = (own: 0 | 1): EnginePort => ({
    post: (message) => {
      queueMicrotask(() => {
        const listener = listeners[1 - own];
        if (isDead()) return;
        if (listener) listener(message);
        else early[1 - own]!.push(message);
      });
    },
    listen: (listener) => {
      listeners[own] = listener;
      for (const message of early[own].splice(0)) listener(message);
    },
  });
  return [end(0), end(1)];
}

type Listener = (message: unknown) => void;
