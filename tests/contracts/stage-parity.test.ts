import { loadWeights, prepareBundle, readCheckpoint } from '@tandem/model-kit';
import {
  FORMATS,
  type ModelShape,
  ReferenceStageModel,
  type StageInput,
  type StageOutput,
  seededRandom,
} from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { describe, expect, it } from 'vitest';
import { difference } from '../support/compare.js';
import { removeFolder, SMALL_SHAPE, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';

/** Largest |difference| from the reference, for rows of a standard deviation near 2 and logits of up to 10. */
const TOLERANCE = { f32: 1e-4, f16: 5e-2, q8: 1, q4: 10 } as const;

const CASES: Record<
  string,
  { shape?: Partial<ModelShape>; tiedHead: boolean; fittedExits: number[]; config?: Record<string, unknown> }
> = {
  'tied head, raw exit': { tiedHead: true, fittedExits: [] },
  'own head, fitted exit, large rope base': {
    tiedHead: false,
    fittedExits: [1],
    shape: { ropeTheta: 500_000 },
    config: { rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 500_000 } },
  },
  'one KV head': { tiedHead: true, fittedExits: [1], shape: { kvHeads: 1, heads: 3, headDim: 24 } },
};

const POSITIONS = 100;

describe.each(Object.entries(CASES))('ONNX stages against the reference: %s', (name, options) => {
  it.each(['F32', 'BF16'] as const)('agree on a checkpoint in %s', async (dtype) => {
    const folder = await writeRandomCheckpoint({ ...options, dtype });
    const out = await temporaryFolder('bundle');
    try {
      const checkpoint = await readCheckpoint(folder);
      const weights = await loadWeights(checkpoint);
      await checkpoint.close();
      expect(weights.shape).toEqual({ ...SMALL_SHAPE, ...options.shape });
      await prepareBundle({ checkpoint: folder, exits: [1], cut: 2, formats: FORMATS, out });
      const bundle = await openBundle(out);
      for (const [index, { from, to, head, input }] of bundle.manifest.stages.entries()) {
        const feed = makeInput(input, index);
        const expected = await runAll(new ReferenceStageModel(weights, { from, to, head }), feed);
        for (const format of FORMATS) {
          const actual = await runAll(await loadStage(bundle, index, format, { threads: 1 }), feed);
          const rows = difference(actual.rows, expected.rows);
          const logits = difference(actual.logits, expected.logits);
          console.log(
            `${name}, ${dtype}, stage ${index}, ${format}: rows max ${text(rows)}, logits max ${text(logits)}`,
          );
          expect(Math.max(rows.max, logits.max), `stage ${index}, ${format}`).toBeLessThan(TOLERANCE[format]);
        }
      }
    } finally {
      await removeFolder(folder);
      await removeFolder(out);
    }
  });
});

async function runAll(
  model: ReferenceStageModel | Awaited<ReturnType<typeof loadStage>>,
  input: StageInput,
): Promise<StageOutput> {
  const stage = model.open(POSITIONS);
  const wanted = model.hasHead ? Int32Array.from({ length: POSITIONS }, (_, i) => i) : new Int32Array(0);
  const output = await stage.forward(input, wanted);
  stage.dispose();
  await model.dispose();
  return output;
}

function makeInput(kind: 'tokens' | 'rows', seed: number): StageInput {
  const random = seededRandom(seed);
  const { vocabularySize, width } = SMALL_SHAPE;
  if (kind === 'tokens')
    return { kind, tokens: Int32Array.from({ length: POSITIONS }, () => Math.floor(random.next() * vocabularySize)) };
  return { kind, rows: Float32Array.from({ length: POSITIONS * width }, () => (random.next() * 2 - 1) * 3) };
}

function text({ max, mean }: { max: number; mean: number }): string {
  return `${max.toExponential(1)} (mean ${mean.toExponential(1)})`;
}
