import { fixedEngine, Scheduler } from '@tandem/cloud';
import { VirtualClock } from '@tandem/netsim';
import {
  type BatchInfo,
  type Engine,
  type EngineInfo,
  GREEDY,
  limits,
  type StepRequest,
  type StepResult,
} from '@tandem/shared';
import type { BatchTimes } from './batch-times.js';
import type { LoadFigures } from './load.js';
import type { TimedCall, TimedForward, TimedStory } from './step-times.js';

/** Counted when stories, of five seconds each, have spread over each other. */
const RAMP_MS = 15_000;
const COUNTED_MS = 60_000;

/**
 * The same readers in virtual time: the server's own scheduler, an engine that takes as long as the measured steps did, and
 * nobody else on the machine. A minute of readers take a moment, and come out the same every time.
 */
export async function runVirtualLoad(
  stories: readonly TimedStory[],
  sessions: number,
  thinkMsPerToken: number,
  batch?: { info: BatchInfo; times: BatchTimes },
): Promise<LoadFigures> {
  const clock = new VirtualClock({ settle: 'promises' });
  const engine = new TimedEngine(clock, batch);
  const scheduler = new Scheduler(fixedEngine(engine), clock);
  const figures: LoadFigures = { tokens: 0, answerMs: [], queueMs: [], engineMs: [], busyMs: 0, refused: 0 };
  const reader = async (index: number) => {
    await clock.sleep((index / sessions) * RAMP_MS);
    for (let story = 0; clock.now() < RAMP_MS + COUNTED_MS; story++) {
      const session = new VirtualSession(`${index} ${story}`, engine, scheduler);
      for (const forward of stories[(index * 7 + story) % stories.length]!) {
        const startedMs = clock.now();
        const { queueMs, engineMs } = await session.ask(forward);
        if (startedMs >= RAMP_MS && startedMs < RAMP_MS + COUNTED_MS) {
          figures.tokens += forward.tokens;
          figures.answerMs.push(clock.now() - startedMs);
          figures.queueMs.push(queueMs);
          figures.engineMs.push(engineMs);
        }
        await clock.sleep(forward.tokens * thinkMsPerToken);
      }
    }
  };
  const readers = Array.from({ length: sessions }, (_, index) => reader(index));
  await clock.runUntilIdle(Number.POSITIVE_INFINITY);
  await Promise.all(readers);
  figures.busyMs = engine.busyMs;
  return figures;
}

/** How long `figures` of a virtual load were counted. */
export const VIRTUAL_COUNTED_S = COUNTED_MS / 1_000;

/** A session as far as a queue can tell: the calls that its forwards come to, one after the other. */
class VirtualSession {
  readonly #name: string;
  readonly #engine: TimedEngine;
  readonly #scheduler: Scheduler;
  readonly #signal = new AbortController().signal;

  constructor(name: string, engine: TimedEngine, scheduler: Scheduler) {
    this.#name = name;
    this.#engine = engine;
    this.#scheduler = scheduler;
  }

  async ask({ calls }: TimedForward): Promise<{ queueMs: number; engineMs: number }> {
    const sum = { queueMs: 0, engineMs: 0 };
    const rowsLeft = calls.reduce((rows, call) => rows + call.rows, 0);
    const kind = rowsLeft > limits.PREFILL_CHUNK_ROWS ? 'prefill' : 'interactive';
    for (const call of calls) {
      this.#engine.next.set(this.#name, call);
      const turn = { tenant: 'reader', kind, rows: call.rows } as const;
      const outcome = await this.#scheduler.step(this.#request, PLACEMENT, this.#signal, turn);
      if (outcome.kind !== 'done') throw new Error('the scheduler runs nothing');
      sum.queueMs += outcome.value.queueMs;
      sum.engineMs += outcome.value.result.engineMs;
    }
    return sum;
  }

  get #request(): StepRequest {
    const input = { kind: 'encoded-rows' as const, bytes: new Uint8Array(0) };
    return { session: this.#name, from: 0, input, depth: 1, want: [], drafts: [], sampling: GREEDY };
  }
}

/** Of an engine that never dies. */
const PLACEMENT = { engine: 0, generation: 0 };

/** Runs nothing, and takes as long as was measured. */
class TimedEngine implements Engine {
  readonly info: EngineInfo;
  /** What a session does next. */
  readonly next = new Map<string, TimedCall>();
  /** While readers are counted. */
  busyMs = 0;
  readonly #clock: VirtualClock;
  readonly #times: BatchTimes | undefined;

  constructor(clock: VirtualClock, batch: { info: BatchInfo; times: BatchTimes } | undefined) {
    this.#clock = clock;
    this.#times = batch?.times;
    this.info = {
      model: 'timed',
      format: 'f32',
      width: 1,
      vocabularySize: 2,
      contextLength: 1,
      stages: 1,
      deviceStages: 0,
      ...(batch ? { batch: batch.info } : {}),
    };
  }

  async open(): Promise<void> {}

  async step({ session }: StepRequest): Promise<StepResult> {
    return await this.#take(this.next.get(session)!.ms);
  }

  async stepTogether(requests: readonly StepRequest[]): Promise<StepResult[]> {
    const { singlesMs, rowMs } = this.#times!;
    const rows = requests.reduce((sum, { session }) => sum + this.next.get(session)!.rows, 0);
    const result = await this.#take(singlesMs + (rows - requests.length) * rowMs);
    return requests.map(() => result);
  }

  async close(): Promise<void> {}

  async dispose(): Promise<void> {}

  async #take(ms: number): Promise<StepResult> {
    const nowMs = this.#clock.now();
    if (nowMs >= RAMP_MS && nowMs < RAMP_MS + COUNTED_MS) this.busyMs += ms;
    await this.#clock.sleep(ms);
    return { choices: [], mismatch: false, encodedRows: new Uint8Array(0), rowsFrom: 0, length: 0, engineMs: ms };
  }
}
