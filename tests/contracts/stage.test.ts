import { loadWeights, prepareBundle, readCheckpoint } from '@tandem/model-kit';
import { FORMATS, type ModelWeights, ReferenceStageModel } from '@tandem/shared';
import { type Bundle, loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll } from 'vitest';
import { removeFolder, SMALL_SHAPE, temporaryFolder, writeRandomCheckpoint } from '../support/random-checkpoint.js';
import { loadWasmStage } from '../support/wasm-stages.js';
import { describeStageContract } from './stage-contract.js';

let checkpointFolder: string;
let bundleFolder: string;
let weights: ModelWeights;
let bundle: Bundle;

beforeAll(async () => {
  checkpointFolder = await writeRandomCheckpoint({ fittedExits: [1] });
  bundleFolder = await temporaryFolder('bundle');
  const checkpoint = await readCheckpoint(checkpointFolder);
  weights = await loadWeights(checkpoint);
  await prepareBundle({ checkpoint, exits: [1], cut: 3, formats: FORMATS, out: bundleFolder });
  await checkpoint.close();
  bundle = await openBundle(bundleFolder);
});
afterAll(async () => {
  await removeFolder(checkpointFolder);
  await removeFolder(bundleFolder);
});

// Stage 0 reads tokens and ends in a fitted exit, stage 1 has no head, stage 2 ends in the model's.
const STAGES = [
  { from: 0, to: 1, head: 'exit', input: 'tokens' },
  { from: 1, to: 3, head: 'none', input: 'rows' },
  { from: 3, to: 4, head: 'model', input: 'rows' },
] as const;

for (const [index, { input, ...options }] of STAGES.entries()) {
  describeStageContract(`reference, stage ${index}`, async () => ({
    model: new ReferenceStageModel(weights, options),
    input,
    contextLength: SMALL_SHAPE.contextLength,
  }));
  // Once loaded, f16 is f32; one stage is enough to see that.
  for (const format of index === 0 ? FORMATS : FORMATS.filter((name) => name !== 'f16')) {
    describeStageContract(`ONNX ${format}, stage ${index}`, async () => ({
      model: await loadStage(bundle, index, format, { threads: 2 }),
      input,
      contextLength: SMALL_SHAPE.contextLength,
    }));
  }
  // The formats that browsers prefer.
  for (const format of index === 0 ? (['f16', 'f32', 'q8'] as const) : (['f16'] as const)) {
    describeStageContract(`WASM ${format}, stage ${index}`, async () => ({
      model: await loadWasmStage(bundle, index, format),
      input,
      contextLength: SMALL_SHAPE.contextLength,
    }));
  }
}
