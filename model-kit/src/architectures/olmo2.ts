import type { Architecture } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';

const NORM_NAMES = {
  attentionOutputNorm: 'post_attention_layernorm.weight',
  feedForwardOutputNorm: 'post_feedforward_layernorm.weight',
};

/** Norms behind attention and feed-forward instead of before them; queries and keys are normed as whole vectors. */
export const olmo2: Architecture = {
  modelType: 'olmo2',
  className: 'Olmo2ForCausalLM',
  models: 'OLMo 2 1B to 32B',
  describe(config) {
    const { model } = describeBase('olmo2', config, { rms_norm_eps: 1e-5 });
    return { ...model, arithmetic: { ...model.arithmetic, normPlace: 'after', queryKeyNorm: 'whole' } };
  },
  sources: (tensor) => usualSources(tensor, NORM_NAMES),
};
