import type { Architecture } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';
import { withSlidingWindows } from './sliding-window.js';

/** A Llama whose layers may all see a sliding window. */
export const mistral: Architecture = {
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  models: 'Mistral 7B v0.1 to v0.3, Ministral',
  describe(config) {
    const { model } = describeBase('mistral', config);
    const layers = withSlidingWindows(model.arithmetic.layers, config);
    return { ...model, arithmetic: { ...model.arithmetic, layers } };
  },
  sources: (tensor) => usualSources(tensor),
};
