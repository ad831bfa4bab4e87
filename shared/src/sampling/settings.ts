import * as z from 'zod/mini';
import { LOGPROBS_TOP_MAX } from '../limits.js';
import { integer, number } from '../platform/schema.js';

/**
 * How a token is chosen from logits. Names and meaning as in the AI SDK and Hugging Face `generate`;
 * applied in the order temperature, topK, topP, minP.
 */
export const samplingSettingsSchema = z.strictObject({
  /** 0 chooses the likeliest token; 1 samples from the model's own distribution. */
  temperature: z._default(number(0, 10), 0),
  /** Keep the k likeliest tokens; 0 keeps all. */
  topK: z._default(integer(0, 1_000_000), 0),
  /** Keep the smallest set of tokens whose probability reaches topP; 1 keeps all. */
  topP: z._default(z.number().check(z.gt(0), z.lte(1)), 1),
  /** Drop tokens below minP times the highest probability; 0 drops none. */
  minP: z._default(z.number().check(z.gte(0), z.lt(1)), 0),
  /** Fixes the noise. The same seed gives the same text, on every link and in every mode. */
  seed: z._default(integer(0, 0xffffffff), 0),
  /** Also tell the log probability of every token, and so many of the likeliest. Changes no token. */
  logprobs: z.optional(integer(0, LOGPROBS_TOP_MAX)),
});

export type SamplingSettings = z.output<typeof samplingSettingsSchema>;

export const GREEDY: SamplingSettings = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
