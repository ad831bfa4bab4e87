import type { Architecture } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';
import { withSlidingWindows } from './sliding-window.js';

/** Queries, keys and values have a bias. A window is named in every config and used in few. */
export const qwen2: Architecture = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  models: 'Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen',
  describe(config) {
    const { model } = describeBase('qwen2', config);
    const layers = withSlidingWindows(model.arithmetic.layers, config, { use_sliding_window: false });
    return { ...model, arithmetic: { ...model.arithmetic, biases: ['query', 'key', 'value'], layers } };
  },
  sources: (tensor) => usualSources(tensor),
};
