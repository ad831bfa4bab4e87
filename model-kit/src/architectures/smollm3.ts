import type { LayerArithmetic } from '@tandem/shared';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { count, describeBase, parseFields } from './config-fields.js';
import { usualSources } from './published-names.js';
import { withSlidingWindows } from './sliding-window.js';

const schema = z.looseObject({
  /** By layer; 0 means: this one has no rotary positions. */
  no_rope_layers: z
    .array(z.union([z.literal(0), z.literal(1)]))
    .max(1_024)
    .nullish(),
  no_rope_layer_interval: count(1_024).default(4),
});

/** Every fourth layer has no rotary positions (NoPE). */
export const smollm3: Architecture = {
  modelType: 'smollm3',
  className: 'SmolLM3ForCausalLM',
  models: 'SmolLM3',
  describe(config) {
    const defaults = { rope_theta: 2_000_000, tie_word_embeddings: true };
    const { model } = describeBase('smollm3', config, defaults);
    const { no_rope_layers, no_rope_layer_interval } = parseFields(schema, config);
    const turned = model.arithmetic.layers.map((layer, index): LayerArithmetic => {
      const turns = no_rope_layers ? no_rope_layers[index] !== 0 : (index + 1) % no_rope_layer_interval !== 0;
      return turns ? layer : { ...layer, rotary: { kind: 'none' } };
    });
    const layers = withSlidingWindows(turned, config, { use_sliding_window: false });
    return { ...model, arithmetic: { ...model.arithmetic, layers } };
  },
  sources: (tensor) => usualSources(tensor),
};
