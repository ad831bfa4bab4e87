import type { EngineInfo, EngineSession, StepRequest, StepResult, TandemError } from '@tandem/shared';
import type { StepKind } from './fair-queue.js';

/** What sessions know of engines: one behind a queue, or several. */
export interface StepRunner {
  readonly info: EngineInfo;
  /** False while no engine starts: new sessions had better go elsewhere. */
  readonly isAvailable: boolean;
  /** Steps that wait. */
  readonly queued: number;
  /**
   * Opens an engine session; says where. An aborted signal takes it out of the queue. `source`: what its first positions
   * can be copied from, if it comes to lie in the same engine.
   */
  open(session: EngineSession, signal: AbortSignal, turn?: Turn, source?: OpenSource): Promise<Outcome<Opened>>;
  /** Runs a step on a session opened at `placement`. A running step ends, whatever the signal says. */
  step(request: StepRequest, placement: Placement, signal: AbortSignal, turn?: Turn): Promise<Outcome<ScheduledStep>>;
  /** Frees an engine session, in its turn. */
  close(session: string, placement: Placement): Promise<void>;
  /** Whether what was opened there is still there. */
  holds(placement: Placement): boolean;
}

/** Where a session is open: in which engine, and in which of its lives. */
export interface Placement {
  /** Index of the engine. */
  engine: number;
  generation: number;
}

/** An engine session that was just opened. */
export interface Opened extends Placement {
  /** Positions that it has already. */
  length: number;
}

/** Another engine session with the same beginning. */
export interface OpenSource {
  session: string;
  placement: Placement;
  /** Positions that both have in common. */
  length: number;
}

/** Whose turn a job takes, and of which kind it is. */
export interface Turn {
  tenant: string;
  kind: StepKind;
  /** What it will cost. */
  rows: number;
}

/** What became of a job. A failure here is something that a session goes on from, so it is returned. */
export type Outcome<Value> =
  | { kind: 'done'; value: Value }
  /** Nobody waits for it any more, and the engine was not touched. */
  | { kind: 'cancelled' }
  | { kind: 'failed'; error: TandemError };

export interface ScheduledStep {
  result: StepResult;
  /** From hand-in to start. */
  queueMs: number;
}
