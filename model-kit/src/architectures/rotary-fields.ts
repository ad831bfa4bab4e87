import { type RotaryAngles, TandemError } from '@tandem/shared';
import { z } from 'zod';

/** Older configs have `rope_theta` and `rope_scaling`, newer ones all of it in `rope_parameters`. */
export const ropeSchema = z.looseObject({
  rope_type: z.string().max(64).optional(),
  type: z.string().max(64).optional(),
  rope_theta: z.number().positive().max(1e12).optional(),
  partial_rotary_factor: z.number().min(0).max(1).nullish(),
  factor: z.number().min(1).max(1e6).optional(),
  low_freq_factor: z.number().positive().max(1e6).optional(),
  high_freq_factor: z.number().positive().max(1e6).optional(),
  original_max_position_embeddings: z.int().min(1).max(4_194_304).optional(),
  attention_factor: z.number().positive().max(1e3).nullish(),
  beta_fast: z.number().positive().max(1e6).nullish(),
  beta_slow: z.number().positive().max(1e6).nullish(),
  mscale: z.number().min(0).max(1e3).nullish(),
  mscale_all_dim: z.number().min(0).max(1e3).nullish(),
  truncate: z.boolean().nullish(),
  short_factor: z.array(z.number().positive().max(1e6)).max(512).optional(),
});
export type RopeFields = z.infer<typeof ropeSchema>;

interface RotaryFields {
  rope_theta?: number | null;
  rope_parameters?: RopeFields | null;
  rope_scaling?: RopeFields | null;
  max_position_embeddings?: number;
  /** Of Phi-3, beside the scaling and not in it. */
  original_max_position_embeddings?: number | null;
}

export type TurningAngles = Exclude<RotaryAngles, { kind: 'none' }>;

/** @throws TandemError UNSUPPORTED_ARCHITECTURE for a scaling that is not known; CHECKPOINT_INVALID where its fields are missing */
export function readRotary(family: string, config: RotaryFields, defaultTheta = 10_000): TurningAngles {
  const settings: RopeFields = { ...config.rope_scaling, ...config.rope_parameters };
  const theta = settings.rope_theta ?? config.rope_theta ?? defaultTheta;
  const kind = settings.rope_type ?? settings.type ?? 'default';
  if ((settings.partial_rotary_factor ?? 1) !== 1) {
    const message = `${family} with rotary positions on ${settings.partial_rotary_factor} of a head (supported: 1)`;
    throw new TandemError('UNSUPPORTED_ARCHITECTURE', message);
  }
  switch (kind) {
    case 'default':
      return { kind: 'plain', theta };
    case 'linear':
      return { kind: 'linear', theta, factor: need(settings, 'factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        theta,
        factor: need(settings, 'factor'),
        lowFrequencyFactor: need(settings, 'low_freq_factor'),
        highFrequencyFactor: need(settings, 'high_freq_factor'),
        originalContext: need(settings, 'original_max_position_embeddings'),
      };
    case 'yarn':
      return readYarn(settings, config, theta);
    // The name of the first models that had it.
    case 'su':
    case 'longrope':
      return readLongRope(settings, config, theta);
    default: {
      const message = `${family} with rope scaling "${kind}" (supported: default, linear, llama3, yarn, longrope)`;
      throw new TandemError('UNSUPPORTED_ARCHITECTURE', message);
    }
  }
}

/** Defaults are those of Hugging Face `transformers`. */
function readYarn(settings: RopeFields, config: RotaryFields, theta: number): TurningAngles {
  const factor = need(settings, 'factor');
  const { mscale, mscale_all_dim } = settings;
  const growthBy = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const growth = mscale && mscale_all_dim ? growthBy(mscale) / growthBy(mscale_all_dim) : growthBy(1);
  return {
    kind: 'yarn',
    theta,
    factor,
    keptRotations: settings.beta_fast ?? 32,
    dividedRotations: settings.beta_slow ?? 1,
    rounded: settings.truncate ?? true,
    originalContext: originalContext(settings, config),
    growth: settings.attention_factor ?? growth,
  };
}

/**
 * Two sets of divisors are published: one up to the original context, one for longer texts, and the reference library changes all
 * positions when a text grows past it. Kept keys cannot change, so the model ends at its original context here.
 */
function readLongRope(settings: RopeFields, config: RotaryFields, theta: number): TurningAngles {
  const divisors = settings.short_factor;
  if (!divisors) throw new TandemError('CHECKPOINT_INVALID', 'config.json: rope scaling without short_factor');
  const original = originalContext(settings, config);
  const factor = settings.factor ?? (config.max_position_embeddings ?? original) / original;
  const growth = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return { kind: 'divided', theta, divisors, originalContext: original, growth: settings.attention_factor ?? growth };
}

function originalContext(settings: RopeFields, config: RotaryFields): number {
  const own = settings.original_max_position_embeddings ?? config.original_max_position_embeddings;
  const value = own ?? config.max_position_embeddings;
  if (value !== undefined) return value;
  throw new TandemError('CHECKPOINT_INVALID', 'config.json: rope scaling without original_max_position_embeddings');
}

function need(settings: RopeFields, field: keyof RopeFields): number {
  const value = settings[field];
  if (typeof value === 'number') return value;
  throw new TandemError('CHECKPOINT_INVALID', `config.json: rope scaling without ${String(field)}`);
}
