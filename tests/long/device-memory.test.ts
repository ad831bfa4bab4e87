import { DeviceEngine } from '@tandem/cloud/testing';
import { GREEDY } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { HAS_VULKAN, onVulkan } from '../support/vulkan.js';

/** 16 KiB of keys a position, so that a long context is more than two gigabytes, and the driver gives no buffer of that size. */
const SHAPE = { width: 64, layers: 3, heads: 64, kvHeads: 64, headDim: 64, feedForward: 64, contextLength: 131_136 };

/** A driver that really refuses memory; nothing of it is ever touched. */
describe.skipIf(!HAS_VULKAN)(onVulkan('a GPU without the memory for a step'), () => {
  let bundle: SmallBundle;
  let engine: DeviceEngine;
  const lost: unknown[] = [];
  beforeAll(async () => {
    bundle = await makeSmallBundle(1, { shape: SHAPE });
    const { directory } = bundle;
    const options = { directory, format: 'f32', threads: 1, device: 'webgpu', preload: 'cloud-stages' } as const;
    engine = new DeviceEngine(await loadChainEngine(options), (error) => lost.push(error));
  });
  afterAll(async () => {
    await engine?.dispose();
    await bundle?.remove();
  });

  it('says so, and other sessions go on with the same bits', async () => {
    const { deviceStages, stages } = engine.info;
    const open = (session: string, capacity: number, reserve: boolean) =>
      engine.open({ session, firstStage: deviceStages, endStage: stages, capacity, codec: 'f32', reserve });
    const step = async (session: string) => {
      const bytes = new Uint8Array(new Float32Array(SHAPE.width).fill(0.5).buffer);
      const input = { kind: 'encoded-rows' as const, bytes };
      const request = { session, from: 0, input, depth: 1, want: [0], drafts: [], sampling: GREEDY };
      return (await engine.step(request)).choices;
    };
    await open('witness', 64, false);
    const expected = await step('witness');
    await open('long', SHAPE.contextLength, true);
    await expect(step('long')).rejects.toMatchObject({
      code: 'SERVER_BUSY',
      message: expect.stringContaining('no memory'),
    });
    expect(await step('witness')).toEqual(expected);
    await engine.close('long');
    expect(await step('witness')).toEqual(expected);
    expect(lost).toEqual([]);
  });
});
