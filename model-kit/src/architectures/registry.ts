import { TandemError } from '@tandem/shared';
import { z } from 'zod';
import type { Architecture } from './architecture.js';
import { gemma3 } from './gemma3.js';
import { gpt2 } from './gpt2.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { olmo2 } from './olmo2.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { smollm3 } from './smollm3.js';

/** A new architecture is one file and one name here. */
export const ARCHITECTURES: readonly Architecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  gemma3,
  phi3,
  olmo2,
  gpt2,
];

export const SUPPORTED_ARCHITECTURES: readonly string[] = ARCHITECTURES.map(({ modelType }) => modelType);

const schema = z.looseObject({
  model_type: z.string().max(128).optional(),
  architectures: z.array(z.string().max(128)).max(16).nullish(),
});

/**
 * The architecture that a parsed `config.json` names.
 *
 * @throws TandemError UNSUPPORTED_ARCHITECTURE, naming what came and what is supported; CHECKPOINT_INVALID when it names none
 */
export function findArchitecture(config: unknown): Architecture {
  const result = schema.safeParse(config);
  const supported = `supported: ${SUPPORTED_ARCHITECTURES.join(', ')}`;
  const { model_type, architectures } = result.success ? result.data : {};
  const classes = architectures ?? [];
  const names = [model_type, ...classes].filter((name) => name !== undefined);
  if (names.length === 0)
    throw new TandemError('CHECKPOINT_INVALID', `config.json names no architecture; ${supported}`);
  const found = ARCHITECTURES.find(
    ({ modelType, className }) =>
      (model_type ?? modelType) === modelType && classes.every((name) => name === className),
  );
  // A config with only a model_type is complete: the class would add nothing.
  if (found === undefined || (model_type === undefined && classes.length === 0))
    throw new TandemError('UNSUPPORTED_ARCHITECTURE', `${names.join(', ')}; ${supported}`);
  return found;
}
