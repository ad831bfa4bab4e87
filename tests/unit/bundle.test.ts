import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareBundle, readCheckpoint } from '@tandem/model-kit';
import { loadStage, openBundle } from '@tandem/shared/node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  encodeSafetensors,
  removeFolder,
  temporaryFolder,
  writeRandomCheckpoint,
} from '../support/random-checkpoint.js';

let checkpoint: string;
let good: string;
let folder: string;

beforeAll(async () => {
  checkpoint = await writeRandomCheckpoint({ fittedExits: [1, 3] });
  good = await temporaryFolder('bundle');
  folder = await temporaryFolder('bundles');
  await prepareBundle({ checkpoint, formats: ['q8'], out: good });
});
afterAll(async () => {
  for (const path of [checkpoint, good, folder]) await removeFolder(path);
});

describe('a bundle', () => {
  let copy: string;
  beforeEach(async () => {
    copy = join(folder, 'copy');
    await rm(copy, { recursive: true, force: true });
    await cp(good, copy, { recursive: true });
  });

  it('takes exits and cut from the fitted exits by default', async () => {
    const { manifest } = await openBundle(good);
    expect([manifest.exits, manifest.cut, manifest.stages.length]).toEqual([[1, 3], 3, 3]);
    expect(manifest.eosTokenIds).toEqual([2]);
  });

  it('is refused with one flipped byte', async () => {
    const path = join(copy, 'stage-1.q8.onnx');
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(path, bytes);
    const bundle = await openBundle(copy);
    await expect(loadStage(bundle, 1, 'q8')).rejects.toThrow(
      /^BUNDLE_CORRUPT: .*stage-1\.q8\.onnx has sha256 \w{64}, the manifest says \w{64}/,
    );
    await expect(bundle.readVerified(bundle.manifest.stages[1]!.files.q8!)).rejects.toMatchObject({
      code: 'BUNDLE_CORRUPT',
    });
    const model = await loadStage(bundle, 0, 'q8', { threads: 1 });
    await model.dispose();
  });

  it('is refused when a file was cut short', async () => {
    const path = join(copy, 'tokenizer.json');
    await writeFile(path, (await readFile(path)).subarray(1));
    const bundle = await openBundle(copy);
    await expect(bundle.readVerified(bundle.manifest.tokenizer[0]!)).rejects.toThrow(
      /BUNDLE_CORRUPT: .*has \d+ bytes, the manifest says \d+/,
    );
  });

  it('is refused when a file is missing', async () => {
    await rm(join(copy, 'stage-0.q8.onnx'));
    const bundle = await openBundle(copy);
    await expect(loadStage(bundle, 0, 'q8')).rejects.toThrow(/^BUNDLE_NOT_FOUND: .*stage-0\.q8\.onnx/);
    await expect(bundle.readVerified(bundle.manifest.stages[0]!.files.q8!)).rejects.toMatchObject({
      code: 'BUNDLE_NOT_FOUND',
    });
  });

  it('is refused without a manifest, or with a damaged one', async () => {
    await expect(openBundle(join(copy, 'none'))).rejects.toThrow(/^BUNDLE_NOT_FOUND: .*manifest\.json.*tandem prepare/);
    await writeFile(join(copy, 'manifest.json'), '{"version":1');
    await expect(openBundle(copy)).rejects.toThrow(/^BUNDLE_CORRUPT: .*manifest\.json is not JSON/);
    await writeFile(join(copy, 'manifest.json'), Buffer.alloc(2 * 1024 * 1024, 0x20));
    await expect(openBundle(copy)).rejects.toThrow(/^BUNDLE_CORRUPT: .*2097152 bytes, limit 1048576/);
  });

  it('refuses stages and formats that it does not have', async () => {
    const bundle = await openBundle(copy);
    await expect(loadStage(bundle, 3, 'q8')).rejects.toThrow(/^INVALID_OPTION: stage 3, the bundle has stages 0 to 2/);
    await expect(loadStage(bundle, 0, 'f32')).rejects.toThrow(/^INVALID_OPTION: format f32, the bundle has q8/);
  });
});

describe('prepareBundle', () => {
  it.each([
    [{ cut: 0 }, 'cut 0'],
    [{ cut: 4 }, 'cut 4'],
    [{ cut: 2, exits: [3] }, 'exit 3'],
    [{ exits: [] }, 'no cut'],
    [{ formats: [] }, 'formats'],
    [{ formats: ['q8', 'q8'] as const }, 'formats'],
  ])('refuses %o', async (options, message) => {
    const out = join(folder, 'refused');
    const prepared = prepareBundle({ checkpoint, formats: ['q8'], out, ...options });
    await expect(prepared).rejects.toThrow(`INVALID_OPTION: ${message}`);
    expect(await readdir(folder)).not.toContain('refused');
  });

  it('does not replace a folder that is no bundle', async () => {
    const out = join(folder, 'photos');
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'cat.jpg'), 'x');
    await expect(prepareBundle({ checkpoint, formats: ['q8'], out })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    expect(await readdir(out)).toEqual(['cat.jpg']);
  });

  it('leaves nothing behind when it is aborted, and keeps the older bundle', async () => {
    const out = join(folder, 'aborted');
    const { fingerprint } = await prepareBundle({ checkpoint, formats: ['q8'], out });
    const abort = new AbortController();
    const onProgress = ({ filesDone }: { filesDone: number }) => filesDone === 1 && abort.abort();
    const prepared = prepareBundle({ checkpoint, formats: ['f32'], out, signal: abort.signal, onProgress });
    await expect(prepared).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await openBundle(out)).manifest).toMatchObject({ fingerprint, formats: ['q8'] });
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('gives a fingerprint of the model, not of cut and format', async () => {
    const out = join(folder, 'fingerprint');
    const { fingerprint } = (await openBundle(good)).manifest;
    expect((await prepareBundle({ checkpoint, cut: 2, exits: [], formats: ['f32', 'q4'], out })).fingerprint).toBe(
      fingerprint,
    );
    const other = await writeRandomCheckpoint({ fittedExits: [1, 3], seed: 2 });
    for (const file of ['config.json', 'model.safetensors', 'tokenizer.json'])
      await copyFile(join(checkpoint, file), join(other, file));
    // Only the exits differ now.
    expect((await prepareBundle({ checkpoint: other, formats: ['q8'], out })).fingerprint).not.toBe(fingerprint);
    await removeFolder(other);
  });
});

describe('readCheckpoint', () => {
  it.each([
    [
      { model_type: 'mamba', architectures: ['MambaForCausalLM'] },
      'UNSUPPORTED_ARCHITECTURE: mamba, MambaForCausalLM; supported: llama, mistral, qwen2',
    ],
    [{ architectures: ['MistralForCausalLM'] }, 'UNSUPPORTED_ARCHITECTURE: llama, MistralForCausalLM'],
    [
      { rope_scaling: { rope_type: 'llama3', factor: 8 } },
      'CHECKPOINT_INVALID: config.json: rope scaling without low_freq',
    ],
    [
      { rope_parameters: { rope_type: 'dynamic', rope_theta: 1e6 } },
      'UNSUPPORTED_ARCHITECTURE: llama with rope scaling "dynamic"',
    ],
    [{ attention_bias: true }, 'has no tensor model.layers.0.self_attn.q_proj.bias'],
    [{ hidden_act: 'gelu' }, 'UNSUPPORTED_ARCHITECTURE: llama with activation "gelu"'],
    [{ model_type: undefined, architectures: undefined }, 'CHECKPOINT_INVALID: config.json names no architecture'],
    [{ hidden_size: undefined }, 'CHECKPOINT_INVALID: config.json: hidden_size'],
    [{ head_dim: 13 }, 'CHECKPOINT_INVALID: config.json: head dimension 13'],
    [{ num_key_value_heads: 4 }, 'CHECKPOINT_INVALID: config.json: 6 heads cannot share 4 KV heads'],
    [
      { vocab_size: 62 },
      'CHECKPOINT_INVALID: model.embed_tokens.weight has shape (61, 72), config.json asks for (62, 72)',
    ],
    [{ num_hidden_layers: 5 }, 'has no tensor model.layers.4.input_layernorm.weight'],
  ])('refuses %o', async (config, message) => {
    const broken = await writeRandomCheckpoint({ config });
    await expect(readCheckpoint(broken)).rejects.toThrow(message);
    await removeFolder(broken);
  });

  it('refuses an architecture before it looks for weights', async () => {
    const broken = await temporaryFolder('mamba');
    await writeFile(join(broken, 'config.json'), JSON.stringify({ model_type: 'mamba' }));
    await expect(readCheckpoint(broken)).rejects.toMatchObject({ code: 'UNSUPPORTED_ARCHITECTURE' });
    await writeFile(join(broken, 'config.json'), 'GPT');
    await expect(readCheckpoint(broken)).rejects.toThrow(/^CHECKPOINT_INVALID: .*config.json is not JSON/);
    await removeFolder(broken);
    await expect(readCheckpoint(broken)).rejects.toThrow(/^CHECKPOINT_INVALID: no config.json in/);
  });

  it('reads weights in shards', async () => {
    const folderOfShards = await writeRandomCheckpoint();
    const whole = await readCheckpoint(checkpoint);
    const part = new Map([['model.norm.weight', { dims: [72], values: await whole.read('finalNorm') }]]);
    await writeFile(join(folderOfShards, 'model-00002-of-00002.safetensors'), encodeSafetensors(part));
    await copyFile(join(checkpoint, 'model.safetensors'), join(folderOfShards, 'model-00001-of-00002.safetensors'));
    await rm(join(folderOfShards, 'model.safetensors'));
    const files = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
    await writeFile(join(folderOfShards, 'model.safetensors.index.json'), JSON.stringify({ weight_map: files }));
    const sharded = await readCheckpoint(folderOfShards);
    expect(await sharded.read('layers.2.gate')).toEqual(await whole.read('layers.2.gate'));
    await sharded.close();
    await whole.close();
    const outside = { a: '../model.safetensors' };
    await writeFile(join(folderOfShards, 'model.safetensors.index.json'), JSON.stringify({ weight_map: outside }));
    await expect(readCheckpoint(folderOfShards)).rejects.toThrow(/has no weight_map of tensor and file names/);
    await removeFolder(folderOfShards);
  });
});
