import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  checkpointFromWeights,
  decodeLlama2c,
  importLlama2c,
  importLlama2cPieces,
  prepareBundle,
} from '@tandem/model-kit';
import { argmax, type ModelWeights, ReferenceStageModel, type Stage, type StageInput } from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const DATA = process.env.TANDEM_DATA ?? join(HERE, '../../../shared/data');
const MODEL_FOLDER = join(DATA, 'checkpoints/stories260K');
const BOS = 1;
/** Crosses three windows of the KV cache. */
const TOKENS = 200;

const isPresent = existsSync(join(MODEL_FOLDER, 'stories260K.bin'));
if (!isPresent) console.warn(`skipped: no ${MODEL_FOLDER}; set TANDEM_DATA to the folder of the test data`);

/**
 * A published model tells the story that llama2.c tells with `run stories260K.bin -z tok512.bin -t 0.0`. It checks the importer,
 * the reference transformer and the graphs against weights that others trained.
 */
describe.skipIf(!isPresent)('stories260K, greedy', () => {
  let weights: ModelWeights;
  let pieces: Uint8Array[];
  let golden: string;

  beforeAll(async () => {
    weights = importLlama2c(await readFile(join(MODEL_FOLDER, 'stories260K.bin')));
    pieces = importLlama2cPieces(await readFile(join(MODEL_FOLDER, 'tok512.bin')), weights.shape.vocabularySize);
    golden = (await readFile(join(HERE, 'stories260k.txt'), 'utf8')).trimEnd();
  });

  it('is the golden story on the reference', async () => {
    const stage = new ReferenceStageModel(weights).open(TOKENS);
    expect(decodeLlama2c(pieces, await tellStory([stage]))).toBe(golden);
  });

  it('is the golden story on the reference in stages', async () => {
    const parts = [{ to: 2, head: 'exit' as const }, { from: 2, to: 3 }, { from: 3 }];
    const stages = parts.map((part) => new ReferenceStageModel(weights, part).open(TOKENS));
    expect(decodeLlama2c(pieces, await tellStory(stages))).toBe(golden);
  });

  it('is the golden story on ONNX stages with an exit, in f32 and f16', async () => {
    const out = await temporaryFolder('stories260k');
    try {
      const checkpoint = checkpointFromWeights(weights, { name: 'stories260K', bosTokenId: BOS, eosTokenIds: [2] });
      await prepareBundle({ checkpoint, exits: [2], cut: 3, formats: ['f32', 'f16'], out });
      const bundle = await openBundle(out);
      for (const format of bundle.manifest.formats) {
        const models = await Promise.all(
          bundle.manifest.stages.map((_, i) => loadStage(bundle, i, format, { threads: 1 })),
        );
        expect(decodeLlama2c(pieces, await tellStory(models.map((model) => model.open(TOKENS)))), format).toBe(golden);
        for (const model of models) await model.dispose();
      }
    } finally {
      await removeFolder(out);
    }
  });
});

/** Runs all stages for every token and takes the likeliest one. */
async function tellStory(stages: Stage[]): Promise<number[]> {
  const tokens = [BOS];
  while (tokens.length <= TOKENS) {
    let input: StageInput = { kind: 'tokens', tokens: Int32Array.of(tokens.at(-1)!) };
    let logits = new Float32Array(0);
    for (const stage of stages) {
      const output = await stage.forward(input, Int32Array.of(0));
      input = { kind: 'rows', rows: output.rows };
      logits = new Float32Array(output.logits);
    }
    tokens.push(argmax(logits));
  }
  return tokens;
}
