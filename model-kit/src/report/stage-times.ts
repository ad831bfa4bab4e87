import type { Clock, Format, StageInput, StageModel } from '@tandem/shared';
import { type Bundle, loadStage } from '@tandem/shared/node';

export interface StageTimes {
  /** One row through each stage, its head included: median. */
  stageMs: number[];
  /** What each further row of a step costs, as a share of the first. */
  furtherRowShare: number;
}

/** As deep into a text as sessions usually are. */
const CONTEXT_TOKENS = 64;
const MANY_ROWS = 8;
const REPEATS = 25;
/** Large models: after so much time fewer repeats have to do. */
const STAGE_MS_MAX = 2_000;

/** Times every stage of a bundle on this machine. What the rows say does not matter for that. */
export async function stageTimes(bundle: Bundle, format: Format, threads: number, clock: Clock): Promise<StageTimes> {
  const { stages, width, contextLength } = bundle.manifest;
  const context = Math.min(CONTEXT_TOKENS, contextLength - MANY_ROWS);
  const stageMs: number[] = [];
  let manyMs = 0;
  for (const [index, { input }] of stages.entries()) {
    const model = await loadStage(bundle, index, format, { threads });
    const rowsOf = (count: number): StageInput =>
      input === 'tokens'
        ? { kind: 'tokens', tokens: new Int32Array(count) }
        : { kind: 'rows', rows: new Float32Array(count * width).fill(0.1) };
    const one = await medianMs(model, rowsOf, { context, rows: 1 }, clock);
    manyMs += await medianMs(model, rowsOf, { context, rows: MANY_ROWS }, clock);
    stageMs.push(one);
    await model.dispose();
  }
  const oneMs = stageMs.reduce((sum, ms) => sum + ms, 0);
  return { stageMs, furtherRowShare: Math.max(0, (manyMs / oneMs - 1) / (MANY_ROWS - 1)) };
}

async function medianMs(
  model: StageModel,
  rowsOf: (count: number) => StageInput,
  { context, rows }: { context: number; rows: number },
  clock: Clock,
): Promise<number> {
  const stage = model.open(context + rows);
  // Of all rows but the last nobody wants logits, except in a verification.
  const wanted = Int32Array.from({ length: model.hasHead ? rows : 0 }, (_, row) => row);
  await stage.forward(rowsOf(context), new Int32Array(0));
  const times: number[] = [];
  for (const startedMs = clock.now(); times.length < REPEATS; ) {
    const beganMs = clock.now();
    await stage.forward(rowsOf(rows), wanted);
    times.push(clock.now() - beganMs);
    stage.truncate(context);
    if (clock.now() - startedMs > STAGE_MS_MAX && times.length >= 3) break;
  }
  stage.dispose();
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}
