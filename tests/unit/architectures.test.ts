import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ARCHITECTURES, findArchitecture, SUPPORTED_ARCHITECTURES } from '@tandem/model-kit';
import { describe, expect, it } from 'vitest';
import { readFixture } from '../support/architecture-fixture.js';

type Config = Record<string, unknown>;

async function readConfig(name: string): Promise<Config> {
  const { directory } = await readFixture(name);
  return JSON.parse(await readFile(join(directory, 'config.json'), 'utf8'));
}

const describeConfig = (config: Config) => findArchitecture(config).describe(config);

/** The fixtures have the newest layout of config.json; most published models have the older one. */
const OLDER: Record<string, (config: Config) => Config> = {
  llama3: ({ rope_parameters, ...rest }) => ({ ...rest, rope_theta: 500_000, rope_scaling: rope_parameters }),
  mistral: ({ rope_parameters, ...rest }) => ({ ...rest, rope_theta: 10_000 }),
  qwen2: ({ rope_parameters, layer_types, ...rest }) => ({ ...rest, rope_theta: 10_000 }),
  qwen3: ({ rope_parameters, layer_types, ...rest }) => ({ ...rest, rope_theta: 10_000 }),
  smollm3: ({ rope_parameters, layer_types, no_rope_layers, tie_word_embeddings, ...rest }) => rest,
  gemma3: ({ rope_parameters, layer_types, hidden_activation, tie_word_embeddings, ...rest }) => ({
    ...rest,
    sliding_window_pattern: 2,
    rope_theta: 1_000_000,
    rope_local_base_freq: 10_000,
    rope_scaling: null,
  }),
  phi3: ({ rope_parameters, ...rest }) => ({ ...rest, rope_theta: 10_000, rope_scaling: null }),
  'phi3-longrope': ({ rope_parameters, ...rest }) => {
    const { short_factor, long_factor } = rope_parameters as Config;
    return { ...rest, rope_theta: 10_000, rope_scaling: { type: 'longrope', short_factor, long_factor } };
  },
  'qwen3-yarn': ({ rope_parameters, layer_types, ...rest }) => {
    const { rope_type, rope_theta, ...scaling } = rope_parameters as Config;
    return { ...rest, rope_theta, rope_scaling: { ...scaling, type: rope_type } };
  },
};

describe('a config', () => {
  it.each(Object.entries(OLDER))('of %s means the same in its older layout', async (name, older) => {
    const config = await readConfig(name);
    expect(describeConfig(older(config))).toEqual(describeConfig(config));
  });

  it.each<[string, Config, string]>([
    ['phi3', { rope_parameters: { rope_type: 'dynamic', rope_theta: 1e4 } }, 'phi3 with rope scaling "dynamic"'],
    ['phi3', { rope_parameters: { partial_rotary_factor: 0.75 } }, 'phi3 with rotary positions on 0.75 of a head'],
    ['gemma3', { final_logit_softcapping: 30 }, 'gemma3_text with softcapping of logits'],
    ['gemma3', { attn_logit_softcapping: 50 }, 'gemma3_text with softcapping of scores'],
    ['gemma3', { use_bidirectional_attention: true }, 'gemma3_text with attention in both directions'],
    ['gpt2', { scale_attn_by_inverse_layer_idx: true }, 'gpt2 with scores that are scaled by layer'],
    ['gpt2', { activation_function: 'gelu' }, 'gpt2 with activation "gelu"'],
    ['qwen3', { model_type: 'qwen3_moe', architectures: ['Qwen3MoeForCausalLM'] }, 'qwen3_moe, Qwen3MoeForCausalLM'],
  ])('of %s with %o is refused by name', async (name, changes, message) => {
    const config = { ...(await readConfig(name)), ...changes };
    expect(() => describeConfig(config)).toThrow(`UNSUPPORTED_ARCHITECTURE: ${message}`);
  });

  it.each<[string, Config, string]>([
    ['qwen2', { sliding_window: 0 }, 'config.json: sliding_window'],
    ['phi3-longrope', { head_dim: 8 }, 'config.json: short_factor has 6 numbers, a head has 4 pairs'],
    ['phi3', { rope_parameters: { rope_type: 'longrope' } }, 'config.json: rope scaling without short_factor'],
    ['gpt2', { n_embd: 49 }, 'config.json: head dimension 12.25'],
    ['smollm3', { no_rope_layers: [2] }, 'config.json: no_rope_layers'],
    ['gemma3', { layer_types: ['chunked_attention'] }, 'config.json: layer_types'],
  ])('of %s with %o is told to be wrong', async (name, changes, message) => {
    const config = { ...(await readConfig(name)), ...changes };
    expect(() => describeConfig(config)).toThrow(`CHECKPOINT_INVALID: ${message}`);
  });

  it('of LongRoPE ends at the context that its first divisors are for', async () => {
    expect(describeConfig(await readConfig('phi3-longrope')).shape.contextLength).toBe(128);
    expect(describeConfig(await readConfig('qwen3-yarn')).shape.contextLength).toBe(128);
  });

  it('needs no class name, and no model_type beside a class name', () => {
    expect(findArchitecture({ model_type: 'gpt2' }).modelType).toBe('gpt2');
    expect(findArchitecture({ architectures: ['Olmo2ForCausalLM'] }).modelType).toBe('olmo2');
    for (const config of [null, [], 'llama', {}, { model_type: 5 }])
      expect(() => findArchitecture(config)).toThrow('CHECKPOINT_INVALID: config.json names no architecture');
  });
});

it('every architecture has a name of its own', () => {
  expect(SUPPORTED_ARCHITECTURES).toHaveLength(ARCHITECTURES.length);
  expect(new Set(SUPPORTED_ARCHITECTURES).size).toBe(ARCHITECTURES.length);
});
