import type { LayerArithmetic } from '@tandem/shared';
import { z } from 'zod';
import type { TensorName } from '../checkpoint.js';
import type { Architecture } from './architecture.js';
import { count, describeBase, parseFields, refuseVariants } from './config-fields.js';
import { usualSources } from './published-names.js';
import { readRotary, ropeSchema } from './rotary-fields.js';

const schema = z.looseObject({
  query_pre_attn_scalar: z.number().positive().max(1e6).default(256),
  sliding_window: count(4_194_304).nullish(),
  sliding_window_pattern: count(1_024).default(6),
  layer_types: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(1_024)
    .nullish(),
  rope_theta: z.number().positive().max(1e12).default(1_000_000),
  rope_local_base_freq: z.number().positive().max(1e12).default(10_000),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: z.looseObject({ full_attention: ropeSchema, sliding_attention: ropeSchema }).nullish(),
  final_logit_softcapping: z.number().nullish(),
  attn_logit_softcapping: z.number().nullish(),
  use_bidirectional_attention: z.boolean().nullish(),
});

const NORM_NAMES = {
  attentionOutputNorm: 'post_attention_layernorm.weight',
  feedForwardNorm: 'pre_feedforward_layernorm.weight',
  feedForwardOutputNorm: 'post_feedforward_layernorm.weight',
};

/**
 * Norms on both sides of attention and feed-forward, scaled embeddings, five local layers (a window, plain angles) for each
 * global one. Norms are published as their distance from one.
 */
export const gemma3: Architecture = {
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  models: 'Gemma 3 270M and 1B, and the text part of larger ones',
  describe(value) {
    const config = parseFields(schema, value);
    refuseVariants('gemma3_text', [
      config.final_logit_softcapping != null && 'softcapping of logits',
      config.attn_logit_softcapping != null && 'softcapping of scores',
      config.use_bidirectional_attention === true && 'attention in both directions',
    ]);
    const { rope_parameters, ...fields } = value as Record<string, unknown>;
    const activation = { hidden_act: fields.hidden_activation ?? 'gelu_pytorch_tanh' };
    const rope = { rope_theta: config.rope_parameters?.full_attention.rope_theta ?? config.rope_theta };
    const defaults = { head_dim: 256, tie_word_embeddings: true };
    const { model } = describeBase('gemma3_text', { ...defaults, ...fields, ...activation, ...rope });
    const layers = model.arithmetic.layers.map((_, index) => layerArithmetic(config, index));
    const arithmetic = {
      ...model.arithmetic,
      normPlace: 'around' as const,
      queryKeyNorm: 'per-head' as const,
      embeddingScale: Math.sqrt(model.shape.width),
      scoreScale: 1 / Math.sqrt(config.query_pre_attn_scalar),
      layers,
    };
    return { ...model, arithmetic };
  },
  sources(tensor: TensorName) {
    const offset = /norm/i.test(tensor) ? { offset: 1 } : {};
    return usualSources(tensor, NORM_NAMES).map((source) => ({ ...source, ...offset }));
  },
};

function layerArithmetic(config: z.infer<typeof schema>, index: number): LayerArithmetic {
  const type = config.layer_types?.[index];
  const isLocal = type ? type === 'sliding_attention' : (index + 1) % config.sliding_window_pattern !== 0;
  const { rope_parameters, rope_scaling, rope_theta, rope_local_base_freq } = config;
  if (isLocal) {
    const rotary = readRotary('gemma3_text', {
      rope_theta: rope_local_base_freq,
      rope_parameters: rope_parameters?.sliding_attention,
    });
    return { rotary, slidingWindow: config.sliding_window ?? 4_096 };
  }
  const full = { rope_theta, rope_scaling, rope_parameters: rope_parameters?.full_attention };
  return { rotary: readRotary('gemma3_text', full), slidingWindow: null };
}
