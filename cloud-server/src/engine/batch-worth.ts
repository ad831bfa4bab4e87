import { type BatchFigures, type BatchInfo, type Clock, type Engine, GREEDY, limits, rowCodec } from '@tandem/shared';

/** What a verify brings: six drafts and the token before them. */
const VERIFY_ROWS = 7;
/** Positions that every session has already. */
const CONTEXT_ROWS = 16;
/** Measured until one of both is reached, and once before: first runs are slow, as memory is taken. */
const REPETITIONS = 9;
const MEASURING_MS = 400;
/** What a run together has to gain. */
const GAIN_MIN = 1.05;

/**
 * Finds out from how many sessions on it is quicker to run their steps as one. Measured from outside, so that the way into the
 * engine's process and back counts, which several steps then share. `asked`: whoever gives a number wants it, quicker or not.
 *
 * @returns what the scheduler goes by; an engine that had better run one session a step has given its batches back
 */
export async function appraiseBatch(
  engine: Engine,
  asked: number | 'auto',
  clock: Clock,
): Promise<BatchInfo | undefined> {
  const { batch } = engine.info;
  if (!batch || batch.slots === 1) return batch;
  const measured = await measure(engine, batch.slots, clock);
  if (asked !== 'auto') return { ...batch, ...(measured ? { gain: measured.gain } : {}) };
  if (measured && Math.min(measured.from.singles, measured.from.verifies) <= batch.slots) return measured;
  await engine.dropBatches?.();
  const why = `not measured within ${limits.LOAD_PROBE_MS_MAX} ms`;
  return { ...(measured ?? { ...batch, why }), slots: 1 };
}

/** Milliseconds of a step of every slot's session. */
interface Times {
  alone: number;
  together: number;
}

/** Undefined where it fails or takes too long. */
async function measure(engine: Engine, slots: number, clock: Clock): Promise<BatchInfo | undefined> {
  const endMs = clock.now() + limits.LOAD_PROBE_MS_MAX;
  const sessions = Array.from({ length: slots }, (_, slot) => `batch-worth-${slot}`);
  try {
    for (const session of sessions) await openSession(engine, session);
    const singles = await timesOf(engine, sessions, 1, clock);
    if (clock.now() > endMs) return undefined;
    const verifies = await timesOf(engine, sessions, VERIFY_ROWS, clock);
    return clock.now() > endMs ? undefined : judge(slots, singles, verifies);
  } catch {
    return undefined;
  } finally {
    await Promise.allSettled(sessions.map((session) => engine.close(session)));
  }
}

function contextRows({ info }: Engine): number {
  return Math.min(CONTEXT_ROWS, info.contextLength - VERIFY_ROWS);
}

async function openSession(engine: Engine, session: string): Promise<void> {
  const { deviceStages, stages } = engine.info;
  const context = contextRows(engine);
  const capacity = context + VERIFY_ROWS;
  await engine.open({ session, firstStage: deviceStages, endStage: stages, capacity, codec: 'f32' });
  await engine.step({ ...stepOf(engine, session, 0, context), want: [] });
}

function stepOf({ info }: Engine, session: string, from: number, rows: number) {
  const bytes = new Uint8Array(rows * rowCodec('f32').bytesPerRow(info.width));
  return {
    session,
    from,
    input: { kind: 'encoded-rows' as const, bytes },
    depth: info.stages - info.deviceStages,
    want: Array.from({ length: rows }, (_, index) => from + index),
    drafts: [],
    sampling: GREEDY,
    needsEvidence: false,
  };
}

/** Medians. */
async function timesOf(engine: Engine, sessions: readonly string[], rows: number, clock: Clock): Promise<Times> {
  const steps = sessions.map((session) => stepOf(engine, session, contextRows(engine), rows));
  const alone: number[] = [];
  const together: number[] = [];
  const endMs = clock.now() + MEASURING_MS;
  do {
    const startedMs = clock.now();
    for (const step of steps) await engine.step(step);
    const betweenMs = clock.now();
    const failed = (await engine.stepTogether!(steps)).find((outcome) => outcome instanceof Error);
    if (failed) throw failed;
    alone.push(betweenMs - startedMs);
    together.push(clock.now() - betweenMs);
  } while (together.length <= REPETITIONS && clock.now() < endMs);
  return { alone: median(alone), together: median(together) };
}

/** The first one is left out where there are others. */
function median(values: number[]): number {
  const sorted = (values.length > 1 ? values.slice(1) : values).sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

/** More than there are slots, ever. */
const NEVER = 1_000;

/** A slot that nobody needs runs one row: a run costs what singles in all slots do, and the rows more. */
function judge(slots: number, singles: Times, verifies: Times): BatchInfo {
  const rowsMs = Math.max(0, verifies.together - singles.together) / slots;
  const gains = (sessions: number): BatchFigures => ({
    singles: (singles.alone / slots) * (sessions / singles.together),
    verifies: (verifies.alone / slots) * (sessions / (singles.together + sessions * rowsMs)),
  });
  const first = (kind: keyof BatchFigures) => {
    for (let sessions = 2; sessions <= slots; sessions++) if (gains(sessions)[kind] >= GAIN_MIN) return sessions;
    return NEVER;
  };
  const round = (value: number) => Number(value.toFixed(2));
  return {
    slots,
    from: { singles: first('singles'), verifies: first('verifies') },
    gain: { singles: round(gains(slots).singles), verifies: round(gains(slots).verifies) },
    why: 'measured',
  };
}
