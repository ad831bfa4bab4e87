import type { LayerArithmetic } from '@tandem/shared';
import { z } from 'zod';
import { count, parseFields } from './config-fields.js';

/** Fields that say which layers see only the positions next to them. */
const windowSchema = z.looseObject({
  sliding_window: count(4_194_304).nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().min(0).max(1_024).nullish(),
  layer_types: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(1_024)
    .nullish(),
});

/** `layers` with the windows that a config names. Without `layer_types` those count from `max_window_layers` on, or all. */
export function withSlidingWindows(
  layers: readonly LayerArithmetic[],
  value: unknown,
  defaults: Record<string, unknown> = {},
): LayerArithmetic[] {
  const config = parseFields(windowSchema, { ...defaults, ...(value as object) });
  const { sliding_window, use_sliding_window, layer_types, max_window_layers } = config;
  return layers.map((layer, index) => {
    const slides = layer_types ? layer_types[index] === 'sliding_attention' : index >= (max_window_layers ?? 0);
    const applies = slides && use_sliding_window !== false;
    return { ...layer, slidingWindow: applies ? (sliding_window ?? null) : null };
  });
}
