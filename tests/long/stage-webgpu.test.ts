import { type Bundle, loadStage } from '@tandem/shared/node';
import { afterAll, beforeAll, describe } from 'vitest';
import { describeStageContract } from '../contracts/stage-contract.js';
import { SMALL_SHAPE } from '../support/random-checkpoint.js';
import { makeStageBundle } from '../support/stage-bundle.js';
import { HAS_VULKAN, onVulkan } from '../support/vulkan.js';

/** The whole contract where no GPU is. tests/contracts/resident-cache.test.ts has the short of it, and 4-bit weights. */
describe.skipIf(!HAS_VULKAN)(onVulkan('WebGPU in Node'), () => {
  let bundle: Bundle;
  let remove: () => Promise<void>;
  beforeAll(async () => {
    ({ bundle, remove } = await makeStageBundle(['f16']));
  });
  afterAll(() => remove());

  describeStageContract(
    'WebGPU f16, stage 1',
    async () => ({
      model: await loadStage(bundle, 1, 'f16', { device: 'webgpu' }),
      input: 'rows',
      contextLength: SMALL_SHAPE.contextLength,
    }),
    // A run takes fifty times what it takes on the processor.
    { positions: 110, seeds: 2 },
  );
});
