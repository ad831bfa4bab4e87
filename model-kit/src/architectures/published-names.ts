import type { LayerTensor } from '@tandem/shared';
import type { TensorName } from '../checkpoint.js';
import type { TensorSource } from './architecture.js';

/** Names of a layer's tensors below `model.layers.N.`, as most families publish them. */
export const LAYER_NAMES: Partial<Record<LayerTensor, string>> = {
  attentionNorm: 'input_layernorm.weight',
  query: 'self_attn.q_proj.weight',
  queryBias: 'self_attn.q_proj.bias',
  queryNorm: 'self_attn.q_norm.weight',
  key: 'self_attn.k_proj.weight',
  keyBias: 'self_attn.k_proj.bias',
  keyNorm: 'self_attn.k_norm.weight',
  value: 'self_attn.v_proj.weight',
  valueBias: 'self_attn.v_proj.bias',
  output: 'self_attn.o_proj.weight',
  outputBias: 'self_attn.o_proj.bias',
  feedForwardNorm: 'post_attention_layernorm.weight',
  gate: 'mlp.gate_proj.weight',
  gateBias: 'mlp.gate_proj.bias',
  up: 'mlp.up_proj.weight',
  upBias: 'mlp.up_proj.bias',
  down: 'mlp.down_proj.weight',
  downBias: 'mlp.down_proj.bias',
};

/** Sources by the usual names; `layerNames` has those that differ. */
export function usualSources(
  tensor: TensorName,
  layerNames: Partial<Record<LayerTensor, string>> = {},
): TensorSource[] {
  const [group, index, part] = tensor.split('.') as [string, string?, string?];
  switch (group) {
    case 'embedding':
      return [{ name: 'model.embed_tokens.weight' }];
    case 'finalNorm':
      return [{ name: 'model.norm.weight' }];
    case 'head':
      return [{ name: 'lm_head.weight' }];
    case 'layers': {
      const names = { ...LAYER_NAMES, ...layerNames };
      return [{ name: `model.layers.${index}.${names[part as LayerTensor]}` }];
    }
    default:
      return [{ name: tensor }];
  }
}
