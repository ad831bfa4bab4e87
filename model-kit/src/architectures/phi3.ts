import type { TensorName } from '../checkpoint.js';
import type { Architecture, ModelDescription, TensorSource } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';
import { withSlidingWindows } from './sliding-window.js';

/** Queries, keys and values are one published matrix, gate and up another. */
export const phi3: Architecture = {
  modelType: 'phi3',
  className: 'Phi3ForCausalLM',
  models: 'Phi-3 and Phi-3.5 mini; those with a 128k context (LongRoPE) up to their original 4k',
  describe(config) {
    const { model } = describeBase('phi3', config);
    const layers = withSlidingWindows(model.arithmetic.layers, config);
    return { ...model, arithmetic: { ...model.arithmetic, layers } };
  },
  sources(tensor, model) {
    const fused = fusedSource(tensor, model);
    return fused ? [fused] : usualSources(tensor);
  },
};

function fusedSource(tensor: TensorName, { shape }: ModelDescription): TensorSource | undefined {
  const [, layer, part] = tensor.split('.') as [string, string?, string?];
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  const inner = shape.feedForward;
  const lines = (begin: number, size: number, of: number) => ({ begin, end: begin + size, of });
  const attention = `model.layers.${layer}.self_attn.qkv_proj.weight`;
  const feedForward = `model.layers.${layer}.mlp.gate_up_proj.weight`;
  const all = queries + 2 * keys;
  switch (part) {
    case 'query':
      return { name: attention, lines: lines(0, queries, all) };
    case 'key':
      return { name: attention, lines: lines(queries, keys, all) };
    case 'value':
      return { name: attention, lines: lines(queries + keys, keys, all) };
    case 'gate':
      return { name: feedForward, lines: lines(0, inner, 2 * inner) };
    case 'up':
      return { name: feedForward, lines: lines(inner, inner, 2 * inner) };
    default:
      return undefined;
  }
}
