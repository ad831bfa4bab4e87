import { type Bundle, chooseDevice, loadStage } from '@tandem/shared/node';
import { afterAll, beforeAll, describe } from 'vitest';
import { describeStageContract } from '../contracts/stage-contract.js';
import { SMALL_SHAPE } from '../support/random-checkpoint.js';
import { makeStageBundle } from '../support/stage-bundle.js';

const { device, backend } = await chooseDevice('cuda');
const title = device === 'cuda' ? backend : `CUDA (skipped: ${backend}; npm install --onnxruntime-node-install=cuda12)`;

/** `npm run test:gpu`: what the processor's stages keep, on an NVIDIA GPU. */
describe.skipIf(device !== 'cuda')(title, () => {
  let bundle: Bundle;
  let remove: () => Promise<void>;
  beforeAll(async () => {
    ({ bundle, remove } = await makeStageBundle(['f16', 'q4']));
  });
  afterAll(() => remove());

  for (const format of ['f16', 'q4'] as const) {
    describeStageContract(`CUDA ${format}`, async () => ({
      model: await loadStage(bundle, 1, format, { device: 'cuda' }),
      input: 'rows',
      contextLength: SMALL_SHAPE.contextLength,
    }));
  }
});
