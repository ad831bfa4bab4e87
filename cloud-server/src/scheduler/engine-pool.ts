import { assert, type EngineInfo, type EngineSession, type StepRequest } from '@tandem/shared';
import type { Scheduler } from './scheduler.js';
import type { Opened, OpenSource, Outcome, Placement, ScheduledStep, StepRunner, Turn } from './step-runner.js';

/**
 * Several engines, each with a queue of its own. A session is opened in the engine that has the fewest and stays there:
 * its KV cache cannot move. When that engine dies the session is opened anew, wherever there is room then.
 */
export class EnginePool implements StepRunner {
  readonly #lanes: readonly Lane[];

  /** `schedulers[i]` is engine `i`. */
  constructor(schedulers: readonly Scheduler[]) {
    assert(schedulers.length > 0, 'at least one engine');
    this.#lanes = schedulers.map((scheduler) => ({ scheduler, sessions: new Map() }));
  }

  get info(): EngineInfo {
    return this.#lanes[0]!.scheduler.info;
  }

  get isAvailable(): boolean {
    return this.#lanes.some(({ scheduler }) => scheduler.isAvailable);
  }

  get queued(): number {
    return this.#lanes.reduce((sum, { scheduler }) => sum + scheduler.queued, 0);
  }

  get engines(): { available: number; unavailable: number } {
    const available = this.#lanes.filter(({ scheduler }) => scheduler.isAvailable).length;
    return { available, unavailable: this.#lanes.length - available };
  }

  holds(placement: Placement): boolean {
    return this.#lane(placement).scheduler.holds(placement);
  }

  async open(session: EngineSession, signal: AbortSignal, turn?: Turn, source?: OpenSource): Promise<Outcome<Opened>> {
    const lane = this.#emptiest(source?.placement.engine);
    // Counted at once: many that open at the same time must not all choose the same engine.
    const pending = { engine: PENDING, generation: 0 };
    lane.sessions.set(session.session, pending);
    const opened = await lane.scheduler.open(session, signal, turn, source);
    if (lane.sessions.get(session.session) === pending) {
      if (opened.kind === 'done') lane.sessions.set(session.session, opened.value);
      else lane.sessions.delete(session.session);
    }
    return opened;
  }

  step(request: StepRequest, placement: Placement, signal: AbortSignal, turn?: Turn): Promise<Outcome<ScheduledStep>> {
    return this.#lane(placement).scheduler.step(request, placement, signal, turn);
  }

  async close(session: string, placement: Placement): Promise<void> {
    const lane = this.#lane(placement);
    lane.sessions.delete(session);
    await lane.scheduler.close(session, placement);
  }

  #lane({ engine }: Placement): Lane {
    const lane = this.#lanes[engine];
    assert(lane, `engine ${engine} of ${this.#lanes.length}`);
    return lane;
  }

  /** `favourite`: an engine that has something to copy from; worth a few sessions more, but not all of them. */
  #emptiest(favourite?: number): Lane {
    for (const { scheduler, sessions } of this.#lanes) {
      for (const [id, placement] of sessions) {
        if (placement.engine !== PENDING && !scheduler.holds(placement)) sessions.delete(id);
      }
    }
    // One that is between two lives comes back within a second, but somebody waits.
    const running = this.#lanes.filter(({ scheduler }) => scheduler.isRunning);
    const candidates = running.length > 0 ? running : this.#lanes;
    const cost = (lane: Lane) => load(lane) - (lane === this.#lanes[favourite ?? -1] ? FAVOUR_SESSIONS : 0);
    return candidates.reduce((best, lane) => (cost(lane) < cost(best) ? lane : best));
  }
}

interface Lane {
  scheduler: Scheduler;
  /** Sessions that are open there; those of an older life of the engine are swept when the next one opens. */
  sessions: Map<string, Placement>;
}

/** Running a prefix again costs about as much as a few steps of other sessions. */
const FAVOUR_SESSIONS = 2;

/** Engine of a placement that is not known yet. */
const PENDING = -1;

function load({ scheduler, sessions }: Lane): number {
  return sessions.size + scheduler.queued;
}
