import { generateUnsplit } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serving, start } from '../support/cloud-command.js';
import { ask } from '../support/raw-http.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { HAS_VULKAN, onVulkan } from '../support/vulkan.js';

/** What a server runs on, and what it says where that cannot be had. */
describe('--device', () => {
  let bundle: SmallBundle;
  beforeAll(async () => {
    bundle = await makeSmallBundle();
  });
  afterAll(() => bundle?.remove());

  /** The backend in `/v1/info` of a server that was started like this. */
  async function backend(device: string, environment: Record<string, string>): Promise<string> {
    const run = start(['--port', '0', '--threads', '1', '--device', device, '--log-level', 'error'], {
      TANDEM_MODEL: bundle.directory,
      ...environment,
    });
    const port = await serving(run);
    const { body } = await ask(port, '/v1/info');
    run.child.kill('SIGTERM');
    await run.ended;
    return (body as { engine: { backend: string } }).engine.backend;
  }

  it.each([
    ['webgpu', /^onnxruntime-node cpu \(webgpu: .+\)$/],
    ['auto', /^onnxruntime-node (cuda|cpu \(cuda: .+\))$/],
  ])('%s falls back to the processor where it does not start, and says why', async (device, expected) => {
    expect(await backend(device, { VK_ICD_FILENAMES: '/nowhere.json', LD_LIBRARY_PATH: '' })).toMatch(expected);
  });

  it('another word is refused', async () => {
    const run = start(['--model', bundle.directory, '--device', 'gpu']);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(run.err).toMatch(/INVALID_OPTION: --device .*webgpu/);
  });

  it.skipIf(!HAS_VULKAN)(onVulkan('webgpu chooses the tokens of the processor'), async () => {
    const { directory } = bundle;
    const gpu = await loadChainEngine({ directory, format: 'f32', threads: 1, device: 'webgpu', preload: 'all' });
    expect(gpu.info.backend).toBe('onnxruntime-node webgpu');
    const run = {
      prompt: [3, 14, 15, 9, 2, 6],
      maxOutputTokens: 6,
      sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, seed: 5 },
      codec: 'f32' as const,
      eosTokenIds: [],
    };
    expect(await generateUnsplit(gpu, run)).toEqual(await generateUnsplit(bundle.engine, run));
    await gpu.dispose();
  });
});
