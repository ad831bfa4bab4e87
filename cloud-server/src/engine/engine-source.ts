import type { Engine, EngineInfo } from '@tandem/shared';

/** An engine that may die, and that comes back having forgotten every session. */
export interface EngineSource {
  readonly info: EngineInfo;
  /** Raised by every loss: what was opened in an older generation is gone. */
  readonly generation: number;
  /** False from a start that failed to one that succeeded: new sessions had better go elsewhere. */
  readonly isAvailable: boolean;
  /** False between two lives; undefined: it never dies, or comes back at once. */
  readonly isRunning?: boolean;
  /** The running engine or, while there is none, the next. Rejects when that one does not start. */
  current(): Promise<Engine>;
}

/** An engine in this process, for tests and simulations. It never dies. */
export function fixedEngine(engine: Engine): EngineSource {
  return { info: engine.info, generation: 0, isAvailable: true, current: () => Promise.resolve(engine) };
}
