import { prepareBundle } from '@tandem/model-kit';
import {
  type Format,
  type ModelShape,
  type OnnxStageModel,
  type StageModel,
  seededRandom,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import { type Bundle, loadStage, openBundle } from '@tandem/shared/node';
import { describe, expect, it } from 'vitest';
import { expectSameBits } from '../support/compare.js';
import { removeFolder, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

/**
 * Shapes for which ONNX Runtime takes other kernels or splits its work otherwise. The single heads break without the doubling
 * of model-kit's single-kv-head.ts.
 */
const SHAPES: Record<string, Partial<ModelShape>> = {
  'one head each': { width: 256, heads: 4, kvHeads: 4, headDim: 64, feedForward: 688, vocabularySize: 512, layers: 2 },
  'wide heads': { width: 128, heads: 2, kvHeads: 2, headDim: 256, feedForward: 256, layers: 2 },
  'one KV head': { width: 64, heads: 4, kvHeads: 1, headDim: 16, feedForward: 128, layers: 2 },
  'one head': { width: 64, heads: 1, kvHeads: 1, headDim: 64, feedForward: 128, layers: 2 },
};

const POSITIONS = 150;

describe.each(Object.entries(SHAPES))('a stage with %s', (_, shape) => {
  it.each(['f32', 'q8', 'q4'] as const)(
    'gives the same bits in every grouping with 1 and 2 threads, in %s',
    async (format) => {
      const folder = await writeRandomCheckpoint({ shape });
      const out = await temporaryFolder('bundle');
      try {
        await prepareBundle({ checkpoint: folder, cut: 1, formats: [format], out });
        const expected = await runStory(
          out,
          format,
          1,
          Array.from({ length: POSITIONS }, () => 1),
        );
        for (const threads of [1, 2]) {
          for (const groups of [[POSITIONS], randomGroups(threads)]) {
            const actual = await runStory(out, format, threads, groups);
            expectSameBits(actual, expected, `${threads} threads, groups of ${groups.slice(0, 8)}`);
          }
        }
      } finally {
        await removeFolder(folder);
        await removeFolder(out);
      }
    },
  );
});

/** On x64 a stage that runs rows one at a time would pass, and hide that rows have come to depend on each other. */
async function loadWholeWindows(bundle: Bundle, index: number, format: Format, threads: number): Promise<StageModel> {
  const model = (await loadStage(bundle, index, format, { threads })) as OnnxStageModel;
  if (process.arch === 'x64') expect(model.rowsPerRun).toBe(WINDOW_POSITIONS);
  return model;
}

/** Logits of the whole model for the same tokens, `(positions, vocabulary)`. */
async function runStory(directory: string, format: Format, threads: number, groups: number[]): Promise<Float32Array> {
  const bundle = await openBundle(directory);
  const models: StageModel[] = [];
  for (let index = 0; index < bundle.manifest.stages.length; index++)
    models.push(await loadWholeWindows(bundle, index, format, threads));
  const stages = models.map((model) => model.open(POSITIONS));
  const { vocabularySize } = bundle.manifest;
  const random = seededRandom(11);
  const tokens = Int32Array.from({ length: POSITIONS }, () => Math.floor(random.next() * vocabularySize));
  const logits = new Float32Array(POSITIONS * vocabularySize);
  for (const count of groups) {
    const begin = stages[0]!.length;
    const { rows } = await stages[0]!.forward(
      { kind: 'tokens', tokens: tokens.slice(begin, begin + count) },
      new Int32Array(0),
    );
    const all = Int32Array.from({ length: count }, (_, i) => i);
    const output = await stages[1]!.forward({ kind: 'rows', rows }, all);
    logits.set(output.logits, begin * vocabularySize);
  }
  for (const stage of stages) stage.dispose();
  for (const model of models) await model.dispose();
  expect(logits.every(Number.isFinite)).toBe(true);
  return logits;
}

function randomGroups(seed: number): number[] {
  const random = seededRandom(seed);
  const groups: number[] = [];
  for (let left = POSITIONS; left > 0; left -= groups.at(-1)!)
    groups.push(Math.min(left, 1 + Math.floor(random.next() * 24)));
  return groups;
}
