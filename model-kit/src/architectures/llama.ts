import type { Architecture } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';

/** Pre-norm, gated, rotary; the family that the others are told apart from. */
export const llama: Architecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  models: 'Llama 2, 3, 3.1, 3.2; SmolLM, SmolLM2; TinyLlama',
  describe: (config) => describeBase('llama', config).model,
  sources: (tensor) => usualSources(tensor),
};
