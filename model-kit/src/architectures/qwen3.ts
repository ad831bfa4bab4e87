import type { Architecture } from './architecture.js';
import { describeBase } from './config-fields.js';
import { usualSources } from './published-names.js';
import { withSlidingWindows } from './sliding-window.js';

/** Every head of the queries and keys is normed before it is turned. */
export const qwen3: Architecture = {
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  models: 'Qwen3 (dense)',
  describe(config) {
    const { model } = describeBase('qwen3', config, { head_dim: 128 });
    const layers = withSlidingWindows(model.arithmetic.layers, config, { use_sliding_window: false });
    return { ...model, arithmetic: { ...model.arithmetic, queryKeyNorm: 'per-head', layers } };
  },
  sources: (tensor) => usualSources(tensor),
};
