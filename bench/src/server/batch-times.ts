import { appraiseBatch, forkEngine } from '@tandem/cloud/testing';
import {
  type BatchInfo,
  connectEngine,
  type Engine,
  GREEDY,
  limits,
  type StepRequest,
  systemClock,
} from '@tandem/shared';

/** What a run of several sessions' steps takes, by where the sessions begin. */
export interface BatchTimes {
  /** Every slot with a single row. */
  singlesMs: number;
  /** Every row more. */
  rowMs: number;
}

/** What the engine decided, and what it takes. */
export interface MeasuredBatch {
  info: BatchInfo;
  exact: BatchTimes;
  'cloud-only': BatchTimes;
}

const VERIFY_ROWS = 7;
/** About the middle of a recorded story. */
const CONTEXT_ROWS = 48;
/** Other work on the machine only ever makes one slower: the quickest counts. */
const TRIES = 40;

/** Runs of as many sessions as there are slots, on an engine process of one thread, the way into the process and back included. */
export async function timeBatches(
  bundle: string,
  format: string,
  batch: number | 'auto',
): Promise<MeasuredBatch | undefined> {
  const batchSlots = batch === 'auto' ? limits.BATCH_SLOTS : batch;
  const child = forkEngine({ directory: bundle, format, threads: 1, batchSlots });
  const engine = await connectEngine(child.port).engine;
  const info = await appraiseBatch(engine, batch, systemClock);
  const { deviceStages } = engine.info;
  try {
    if (!info || info.slots === 1) return undefined;
    return {
      info,
      exact: await timesOf(engine, info.slots, deviceStages),
      'cloud-only': await timesOf(engine, info.slots, 0),
    };
  } finally {
    await engine.dispose();
    child.release();
  }
}

async function timesOf(engine: Engine, slots: number, firstStage: number): Promise<BatchTimes> {
  const { stages: endStage, width, contextLength } = engine.info;
  const names = Array.from({ length: slots }, (_, slot) => `timed-${firstStage}-${slot}`);
  const step = (session: string, from: number, rows: number): StepRequest => ({
    session,
    from,
    input:
      firstStage === 0
        ? { kind: 'tokens', tokens: Int32Array.from({ length: rows }, (_, i) => 3 + i) }
        : { kind: 'encoded-rows', bytes: new Uint8Array(rows * width * Float32Array.BYTES_PER_ELEMENT).fill(61) },
    depth: endStage - firstStage,
    want: Array.from({ length: rows }, (_, i) => from + i),
    drafts: [],
    sampling: GREEDY,
    needsEvidence: false,
  });
  for (const session of names) {
    await engine.open({ session, firstStage, endStage, capacity: contextLength, codec: 'f32' });
    await engine.step(step(session, 0, CONTEXT_ROWS));
  }
  const quickest = async (rows: number) => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < TRIES; i++) {
      const startedMs = performance.now();
      const outcomes = await engine.stepTogether!(names.map((session) => step(session, CONTEXT_ROWS, rows)));
      least = Math.min(least, performance.now() - startedMs);
      for (const outcome of outcomes) if (outcome instanceof Error) throw outcome;
    }
    return least;
  };
  const [singlesMs, verifiesMs] = [await quickest(1), await quickest(VERIFY_ROWS)];
  for (const session of names) await engine.close(session);
  return { singlesMs, rowMs: (verifiesMs - singlesMs) / (slots * (VERIFY_ROWS - 1)) };
}
