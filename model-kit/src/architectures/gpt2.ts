import { type LayerArithmetic, type LayerTensor, llamaArithmetic, type ModelShape } from '@tandem/shared';
import { z } from 'zod';
import type { TensorName } from '../checkpoint.js';
import type { Architecture, TensorSource } from './architecture.js';
import { activationOf, checkShape, count, eosTokenIds, parseFields, refuseVariants } from './config-fields.js';

const schema = z.looseObject({
  n_embd: count(65_536),
  n_layer: count(1_024),
  n_head: count(1_024),
  n_inner: count(1_048_576).nullish(),
  n_positions: count(4_194_304),
  vocab_size: count(4_194_304),
  layer_norm_epsilon: z.number().min(0).max(1).default(1e-5),
  activation_function: z.string().max(64).default('gelu_new'),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  bos_token_id: z.int().min(0).nullish(),
});

/** Published name below `h.N.`, and which third of the fused projection. */
const LAYER_NAMES: Partial<Record<LayerTensor, { name: string; third?: 0 | 1 | 2 }>> = {
  attentionNorm: { name: 'ln_1.weight' },
  attentionNormBias: { name: 'ln_1.bias' },
  query: { name: 'attn.c_attn.weight', third: 0 },
  queryBias: { name: 'attn.c_attn.bias', third: 0 },
  key: { name: 'attn.c_attn.weight', third: 1 },
  keyBias: { name: 'attn.c_attn.bias', third: 1 },
  value: { name: 'attn.c_attn.weight', third: 2 },
  valueBias: { name: 'attn.c_attn.bias', third: 2 },
  output: { name: 'attn.c_proj.weight' },
  outputBias: { name: 'attn.c_proj.bias' },
  feedForwardNorm: { name: 'ln_2.weight' },
  feedForwardNormBias: { name: 'ln_2.bias' },
  up: { name: 'mlp.c_fc.weight' },
  upBias: { name: 'mlp.c_fc.bias' },
  down: { name: 'mlp.c_proj.weight' },
  downBias: { name: 'mlp.c_proj.bias' },
};

const TOP_NAMES: Partial<Record<TensorName, string>> = {
  embedding: 'wte.weight',
  positions: 'wpe.weight',
  finalNorm: 'ln_f.weight',
  finalNormBias: 'ln_f.bias',
};

/** LayerNorm, learned positions, biases everywhere, a plain feed-forward; matrices are published as `(inputs, outputs)`. */
export const gpt2: Architecture = {
  modelType: 'gpt2',
  className: 'GPT2LMHeadModel',
  models: 'GPT-2 124M to 1.5B, DistilGPT-2',
  describe(value) {
    const config = parseFields(schema, value);
    refuseVariants('gpt2', [
      !config.scale_attn_weights && 'scores that are not scaled',
      config.scale_attn_by_inverse_layer_idx && 'scores that are scaled by layer',
    ]);
    const shape: ModelShape = {
      width: config.n_embd,
      layers: config.n_layer,
      heads: config.n_head,
      kvHeads: config.n_head,
      headDim: config.n_embd / config.n_head,
      feedForward: config.n_inner ?? 4 * config.n_embd,
      vocabularySize: config.vocab_size,
      contextLength: config.n_positions,
      ropeTheta: 10_000,
      normEpsilon: config.layer_norm_epsilon,
    };
    checkShape(shape);
    const plain = llamaArithmetic(shape);
    const layer: LayerArithmetic = { rotary: { kind: 'none' }, slidingWindow: null };
    return {
      shape,
      arithmetic: {
        ...plain,
        norm: 'layer',
        feedForward: 'plain',
        activation: activationOf('gpt2', config.activation_function),
        biases: ['query', 'key', 'value', 'output', 'up', 'down'],
        learnedPositions: true,
        layers: plain.layers.map(() => layer),
      },
      tiedHead: config.tie_word_embeddings,
      bosTokenId: config.bos_token_id ?? null,
      eosTokenIds: eosTokenIds(value),
    };
  },
  /** The first published checkpoints leave the prefix out. */
  sources(tensor, { shape }) {
    if (tensor === 'head') return [{ name: 'lm_head.weight' }];
    const source = layerSource(tensor, shape) ?? { name: TOP_NAMES[tensor] ?? tensor };
    return [{ ...source, name: `transformer.${source.name}` }, source];
  },
};

function layerSource(tensor: TensorName, shape: ModelShape): TensorSource | undefined {
  const [group, layer, part] = tensor.split('.') as [string, string?, LayerTensor?];
  const found = group === 'layers' ? LAYER_NAMES[part!] : undefined;
  if (found === undefined) return undefined;
  const transposed = /\.c_\w+\.weight$/.test(found.name);
  const name = `h.${layer}.${found.name}`;
  if (found.third === undefined) return { name, transposed };
  const begin = found.third * shape.width;
  return { name, transposed, lines: { begin, end: begin + shape.width, of: 3 * shape.width } };
}
