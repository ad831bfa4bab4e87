import { llamaArithmetic, type ModelShape, TandemError } from '@tandem/shared';
import { z } from 'zod';
import type { ModelDescription } from './architecture.js';
import { readRotary, ropeSchema } from './rotary-fields.js';

export const count = (max: number) => z.int().min(1).max(max);
const tokenIds = z.union([z.int().min(0), z.array(z.int().min(0)).max(64)]).nullish();

/** The fields that most configs share and that change the arithmetic. Their many other fields are left alone. */
const baseSchema = z.looseObject({
  hidden_size: count(65_536),
  intermediate_size: count(1_048_576),
  num_hidden_layers: count(1_024),
  num_attention_heads: count(1_024),
  num_key_value_heads: count(1_024).nullish(),
  head_dim: count(1_024).nullish(),
  vocab_size: count(4_194_304),
  max_position_embeddings: count(4_194_304),
  original_max_position_embeddings: count(4_194_304).nullish(),
  rms_norm_eps: z.number().min(0).max(1).default(1e-6),
  rope_theta: z.number().positive().max(1e12).nullish(),
  rope_parameters: ropeSchema.nullish(),
  rope_scaling: ropeSchema.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.string().max(64).default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  bos_token_id: z.int().min(0).nullish(),
  eos_token_id: tokenIds,
});
export type BaseConfig = z.infer<typeof baseSchema>;

/** Names that published configs have for the activations we know. */
const ACTIVATIONS = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
} as const;

/**
 * Reads the shared fields into a pre-norm, gated transformer, a Llama, which an architecture then changes.
 *
 * `defaults`: what the family's own code takes for fields that a config leaves out.
 */
export function describeBase(
  family: string,
  value: unknown,
  defaults: Record<string, unknown> = {},
): { config: BaseConfig; model: ModelDescription } {
  const config = parseFields(baseSchema, { ...defaults, ...(value as object) });
  const rotary = readRotary(family, config);
  const shape: ModelShape = {
    width: config.hidden_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headDim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    feedForward: config.intermediate_size,
    vocabularySize: config.vocab_size,
    contextLength: rotary.kind === 'divided' ? rotary.originalContext : config.max_position_embeddings,
    ropeTheta: rotary.theta,
    normEpsilon: config.rms_norm_eps,
  };
  checkShape(shape);
  if (rotary.kind === 'divided' && rotary.divisors.length !== shape.headDim / 2) {
    const message = `config.json: short_factor has ${rotary.divisors.length} numbers, a head has ${shape.headDim / 2} pairs`;
    throw new TandemError('CHECKPOINT_INVALID', message);
  }
  const plain = llamaArithmetic(shape);
  const arithmetic = {
    ...plain,
    activation: activationOf(family, config.hidden_act),
    biases: [
      ...(config.attention_bias ? (['query', 'key', 'value', 'output'] as const) : []),
      ...(config.mlp_bias ? (['gate', 'up', 'down'] as const) : []),
    ],
    layers: plain.layers.map((layer) => ({ ...layer, rotary })),
  };
  const { bos_token_id, tie_word_embeddings } = config;
  const tokens = { bosTokenId: bos_token_id ?? null, eosTokenIds: eosTokenIds(config) };
  return { config, model: { shape, arithmetic, tiedHead: tie_word_embeddings, ...tokens } };
}

/** @throws TandemError CHECKPOINT_INVALID, naming the first fields that are wrong */
export function parseFields<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new TandemError('CHECKPOINT_INVALID', `config.json: ${issues.join('; ')}`);
}

/** `eos_token_id` of a config or generation config: one, several or none. */
export function eosTokenIds(value: unknown): number[] {
  const result = z.looseObject({ eos_token_id: tokenIds }).safeParse(value);
  if (!result.success)
    throw new TandemError('CHECKPOINT_INVALID', 'eos_token_id is neither a token id nor a list of them');
  const ids = result.data.eos_token_id ?? [];
  return typeof ids === 'number' ? [ids] : ids;
}

/** Refuses a variant that would silently give other numbers. `reasons` are told apart from those that do not apply. */
export function refuseVariants(family: string, reasons: (string | false | undefined)[]): void {
  const found = reasons.filter((reason) => typeof reason === 'string');
  if (found.length > 0) throw new TandemError('UNSUPPORTED_ARCHITECTURE', `${family} with ${found.join(', ')}`);
}

export function activationOf(family: string, name: string): 'silu' | 'gelu-tanh' {
  const known = Object.entries(ACTIVATIONS).find(([published]) => published === name);
  if (known === undefined)
    refuseVariants(family, [`activation "${name}" (supported: ${Object.keys(ACTIVATIONS).join(', ')})`]);
  return known![1];
}

export function checkShape(shape: ModelShape): void {
  const { width, heads, kvHeads, headDim } = shape;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    const message = `config.json: head dimension ${headDim} (width ${width}, ${heads} heads), rotary angles need an even one`;
    throw new TandemError('CHECKPOINT_INVALID', message);
  }
  if (heads % kvHeads !== 0) {
    throw new TandemError('CHECKPOINT_INVALID', `config.json: ${heads} heads cannot share ${kvHeads} KV heads`);
  }
}
