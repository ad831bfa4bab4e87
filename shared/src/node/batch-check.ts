import { seededRandom } from '../platform/random.js';
import type { Stage, StageBatch, StageForward, StageModel, StageOutput, StageTail } from '../stage/stage.js';

/** What a verify brings: six drafts and the token before them. */
const VERIFY_ROWS = 7;
/** Positions that every session has already. */
const CONTEXT_ROWS = 16;

export interface BatchCheckOptions {
  model: StageModel;
  input: 'tokens' | 'rows';
  contextLength: number;
}

/**
 * Whether steps of several sessions have the same bits as one run and as several, on this processor with these weights: a row
 * each, and a few rows each, of which every output and every cached number is compared. ONNX Runtime picks its kernels by
 * processor; not all of them have been tested.
 */
export async function givesSameBits(batch: StageBatch, options: BatchCheckOptions): Promise<boolean> {
  const context = Math.min(CONTEXT_ROWS, options.contextLength - VERIFY_ROWS);
  if (context < 1) return false;
  const stages = Array.from({ length: batch.slots }, () => options.model.open(context + VERIFY_ROWS));
  const random = seededRandom(1);
  const steps = (rows: number) => stages.map((stage) => drawStep(stage, rows, options, () => random.next()));
  const forwardAlone = async (calls: StageForward[]) => {
    const outputs: StageOutput[] = [];
    for (const { stage, input, wanted } of calls) outputs.push(await stage.forward(input, wanted));
    return outputs;
  };
  try {
    await forwardAlone(steps(context));
    for (const rows of [1, VERIFY_ROWS]) {
      const calls = steps(rows);
      const alone = takeBack(stages, context, await forwardAlone(calls));
      const together = takeBack(stages, context, await batch.forward(calls));
      if (!areSame(alone, together)) return false;
    }
    return true;
  } finally {
    for (const stage of stages) stage.dispose();
  }
}

function drawStep(stage: Stage, rows: number, { model, input }: BatchCheckOptions, draw: () => number): StageForward {
  const wanted = Int32Array.from({ length: model.hasHead ? rows : 0 }, (_, i) => i);
  if (input === 'rows') {
    const numbers = Float32Array.from({ length: rows * model.width }, () => draw() * 4 - 2);
    return { stage, wanted, input: { kind: input, rows: numbers } };
  }
  const tokens = Int32Array.from({ length: rows }, () => Math.floor(draw() * model.vocabularySize));
  return { stage, wanted, input: { kind: input, tokens } };
}

/** What a run gave, and what it left in the caches. */
interface Run {
  outputs: (StageOutput | Error)[];
  tails: StageTail[];
}

function takeBack(stages: Stage[], length: number, outputs: (StageOutput | Error)[]): Run {
  const tails = stages.map((stage) => stage.copyTail(length));
  for (const stage of stages) stage.truncate(length);
  return { outputs, tails };
}

function areSame(one: Run, other: Run): boolean {
  const outputs = one.outputs.every((output, i) => {
    const twin = other.outputs[i]!;
    if (output instanceof Error || twin instanceof Error) return false;
    return areSameBits(output.rows, twin.rows) && areSameBits(output.logits, twin.logits);
  });
  const kinds = ['keys', 'values'] as const;
  const caches = one.tails.every((tail, i) =>
    kinds.every((kind) => tail[kind].every((layer, at) => areSameBits(layer, other.tails[i]![kind][at]!))),
  );
  return outputs && caches;
}

function areSameBits(one: Float32Array, other: Float32Array): boolean {
  const bits = (numbers: Float32Array) => new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return Buffer.compare(bits(one), bits(other)) === 0;
}
