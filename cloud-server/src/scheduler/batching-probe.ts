import { type Clock, GREEDY, limits, rowCodec } from '@tandem/shared';
import type { Placement, StepRunner } from './step-runner.js';

/** How much quicker several sessions' rows could at best run as one step than one after the other. */
export interface BatchingGain {
  /** Four verifies of seven rows. */
  verifies: number;
  /** Eight single rows, as cloud-only sessions have them. */
  singles: number;
}

/** The first steps of a process are slow: code is compiled, memory is taken. */
const WARM_UPS = 18;
const REPETITIONS = 9;
const CONTEXT_ROWS = 64;

/**
 * Measures at load what batching across sessions could gain, by steps of one session: `n` rows at once share the weights
 * as `n` sessions would, and their attention is cheaper than that of `n` sessions, so this is an upper bound. Steps are
 * not batched across sessions (docs/decisions/0061-no-batching-across-sessions.md); where these figures are large, that
 * is worth another look. Undefined when the engine fails, its context is too short or its steps take too long.
 */
export async function measureBatchingGain(runner: StepRunner, clock: Clock): Promise<BatchingGain | undefined> {
  const { info } = runner;
  const capacity = CONTEXT_ROWS + 28;
  if (info.contextLength < capacity) return undefined;
  const session = 'batching-probe';
  const stages = { firstStage: info.deviceStages, endStage: info.stages };
  const { signal } = new AbortController();
  const opened = await runner.open({ session, ...stages, capacity, codec: 'f32' }, signal);
  if (opened.kind !== 'done') return undefined;
  const endMs = clock.now() + limits.LOAD_PROBE_MS_MAX;
  const isInTime = () => clock.now() < endMs;
  const stepMs = (rows: number) => medianStepMs(runner, opened.value, session, rows, isInTime);
  await stepMs(CONTEXT_ROWS);
  for (let i = 0; i < WARM_UPS / REPETITIONS; i++) await stepMs(28);
  await stepMs(1);
  const [one, seven, eight, many] = [await stepMs(1), await stepMs(7), await stepMs(8), await stepMs(28)];
  void runner.close(session, opened.value);
  const gain = (together: number, alone: number) => Number((alone / together).toFixed(2));
  if (!isInTime()) return undefined;
  return { verifies: gain(many, 4 * seven), singles: gain(eight, 8 * one) };
}

async function medianStepMs(
  runner: StepRunner,
  placement: Placement,
  session: string,
  rows: number,
  isInTime: () => boolean,
): Promise<number> {
  const { info } = runner;
  const isContext = rows === CONTEXT_ROWS;
  const from = isContext ? 0 : CONTEXT_ROWS;
  const bytes = new Uint8Array(rows * rowCodec('f32').bytesPerRow(info.width));
  const request = {
    session,
    from,
    input: { kind: 'encoded-rows' as const, bytes },
    depth: info.stages - info.deviceStages,
    want: isContext ? [] : Array.from({ length: rows }, (_, index) => from + index),
    drafts: [],
    sampling: GREEDY,
  };
  const times: number[] = [];
  for (let i = 0; i < (isContext ? 1 : REPETITIONS) && isInTime(); i++) {
    const outcome = await runner.step(request, placement, new AbortController().signal);
    times.push(outcome.kind === 'done' ? outcome.value.result.engineMs : Number.NaN);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
}
