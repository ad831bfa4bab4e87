import {
  assert,
  type Clock,
  connectEngine,
  type Engine,
  type EngineInfo,
  type EnginePort,
  limits,
  TandemError,
} from '@tandem/shared';
import type { Log } from '../log.js';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import type { EngineSource } from './engine-source.js';

/** A started engine process, whatever it is made of. */
export interface EngineProcess {
  readonly pid: number;
  readonly port: EnginePort;
  /** Called once, with how it ended: `was ended by SIGKILL`. */
  onExit(listener: (how: string) => void): void;
  /** Asks it to end after the step that it runs. */
  release(): void;
  /** Ends it now. */
  kill(): void;
}

export interface EngineSupervisorOptions {
  /** `before`: what is known of this engine from its first life. */
  launch: (before?: EngineInfo) => EngineProcess;
  /** Finds out more of the engine, in its first life. Default: what it says itself. */
  appraise?: (engine: Engine) => Promise<EngineInfo>;
  clock: Clock;
  log: Log;
  metrics?: Metrics;
}

/**
 * Keeps one engine process alive. A native abort, an out-of-memory kill or a `kill -9` costs the engine's memory and a
 * restart; sessions notice by the generation, and devices send their rows again.
 */
export class EngineSupervisor implements EngineSource {
  readonly #options: EngineSupervisorOptions;
  readonly #stopping = new AbortController();
  #process: EngineProcess | undefined;
  #engine: Promise<Engine> | undefined;
  #info: EngineInfo | undefined;
  #generation = 0;
  #isAvailable = false;
  #isRunning = false;
  /** Ends in a row that came before the engine had proved sound. */
  #failures = 0;
  #cancelStableTimer = () => {};
  #whenExited: (() => void)[] = [];

  constructor(options: EngineSupervisorOptions) {
    this.#options = options;
  }

  get info(): EngineInfo {
    assert(this.#info, 'start() comes first');
    return this.#info;
  }
  get generation(): number {
    return this.#generation;
  }
  get isAvailable(): boolean {
    return this.#isAvailable;
  }
  get isRunning(): boolean {
    return this.#isRunning;
  }
  /** Of the running engine; undefined between two. */
  get processId(): number | undefined {
    return this.#process?.pid;
  }

  /** The first start. A bundle that cannot be loaded now is a mistake to be told, not a crash to be repaired. */
  async start(): Promise<void> {
    this.#engine = this.#launch();
    try {
      const engine = await this.#engine;
      this.#info = (await this.#options.appraise?.(engine)) ?? engine.info;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  current(): Promise<Engine> {
    return this.#engine ?? Promise.reject(new TandemError('ENGINE_FAILED', 'the engine was not started'));
  }

  /** Lets the running step end, then the process. Afterwards nothing restarts it. */
  async stop(): Promise<void> {
    this.#stopping.abort(new TandemError('ENGINE_FAILED', 'the server stops'));
    this.#cancelStableTimer();
    const running = this.#process;
    if (!running) return;
    const exited = new Promise<void>((resolve) => this.#whenExited.push(resolve));
    running.release();
    const cancelKill = this.#options.clock.schedule(limits.STOP_GRACE_MS, () => running.kill());
    await exited;
    cancelKill();
  }

  async #launch(): Promise<Engine> {
    const started = this.#options.launch(this.#info);
    this.#process = started;
    const { engine, lost } = connectEngine(started.port);
    started.onExit((how) => {
      lost(new TandemError('ENGINE_FAILED', `the engine process ${how}`));
      this.#exited(how);
    });
    try {
      const ready = await engine;
      this.#isAvailable = true;
      this.#isRunning = true;
      this.#cancelStableTimer = this.#options.clock.schedule(limits.ENGINE_STABLE_MS, () => {
        this.#failures = 0;
      });
      return ready;
    } catch (error) {
      this.#isAvailable = false;
      // One that could not load its bundle still lives.
      started.kill();
      throw error;
    }
  }

  #exited(how: string): void {
    this.#process = undefined;
    this.#isRunning = false;
    this.#generation++;
    this.#cancelStableTimer();
    for (const resolve of this.#whenExited.splice(0)) resolve();
    if (this.#stopping.signal.aborted || !this.#info) return;
    const delayMs = restartDelayMs(this.#failures++);
    (this.#options.metrics ?? NO_METRICS).count('tandem_engine_restarts_total');
    this.#options.log.error({ how, generation: this.#generation, delayMs }, 'the engine process is gone, restarting');
    this.#engine = this.#relaunch(delayMs);
    // Whoever waits for it is told; nobody may be waiting.
    this.#engine.catch(() => {});
  }

  async #relaunch(delayMs: number): Promise<Engine> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    if (delayMs > 0) await clock.sleep(delayMs, signal);
    signal.throwIfAborted();
    const engine = await this.#launch();
    log.info({ generation: this.#generation, engineProcessId: this.#process?.pid }, 'the engine is back');
    return engine;
  }
}

/** 0, then 100 ms, 200 ms … 5 s: an engine that dies again and again must not eat the machine. */
function restartDelayMs(failures: number): number {
  if (failures === 0) return 0;
  return Math.min(limits.ENGINE_RESTART_DELAY_MS_MIN * 2 ** (failures - 1), limits.ENGINE_RESTART_DELAY_MS_MAX);
}
