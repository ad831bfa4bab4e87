import { z } from 'zod';

const configSchema = z.looseObject({ add_bos_token: z.boolean().nullish() });

/** A post-processor, as far as it says how a text begins. */
const postProcessorSchema = z.looseObject({
  post_processor: z.unknown(),
});
const templateSchema = z.looseObject({
  single: z.array(z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }).optional() })),
  special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int()) })),
});

/**
 * The token that every text of a model begins with, or null: a config names a `bos_token_id` for many models whose text begins with
 * none (GPT-2, Qwen). What counts is `add_bos_token`, then the tokenizer's own template; a checkpoint without
 * `tokenizer_config.json` says nothing else, there the config counts.
 */
export function firstTokenId(
  bosTokenId: number | null,
  files: { tokenizer: unknown; config: unknown | undefined },
): number | null {
  if (bosTokenId === null || files.config === undefined) return bosTokenId;
  const adds = configSchema.safeParse(files.config).data?.add_bos_token;
  if (typeof adds === 'boolean') return adds ? bosTokenId : null;
  const { post_processor } = postProcessorSchema.safeParse(files.tokenizer).data ?? {};
  return beginsWith(post_processor, bosTokenId) ? bosTokenId : null;
}

function beginsWith(processor: unknown, tokenId: number): boolean {
  if (typeof processor !== 'object' || processor === null) return false;
  if ('processors' in processor && Array.isArray(processor.processors))
    return processor.processors.some((part) => beginsWith(part, tokenId));
  const template = templateSchema.safeParse(processor).data;
  const first = template?.single[0]?.SpecialToken;
  return first !== undefined && template!.special_tokens[first.id]?.ids[0] === tokenId;
}
