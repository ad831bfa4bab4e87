import '../platform/no-eval.js';
import * as z from 'zod';
import { LOGPROBS_TOP_MAX } from '../limits.js';

/**
 * How a token is chosen from logits. Names and meaning as in the AI SDK and Hugging Face `generate`;
 * applied in the order temperature, topK, topP, minP.
 */
export const samplingSettingsSchema = z.strictObject({
  /** 0 chooses the likeliest token; 1 samples from the model's own distribution. */
  temperature: z.number().min(0).max(10).default(0),
  /** Keep the k likeliest tokens; 0 keeps all. */
  topK: z.int().min(0).max(1_000_000).default(0),
  /** Keep the smallest set of tokens whose probability reaches topP; 1 keeps all. */
  topP: z.number().gt(0).max(1).default(1),
  /** Drop tokens below minP times the highest probability; 0 drops none. */
  minP: z.number().min(0).lt(1).default(0),
  /** Fixes the noise. The same seed gives the same text, on every link and in every mode. */
  seed: z.int().min(0).max(0xffffffff).default(0),
  /** Also tell the log probability of every token, and so many of the likeliest. Changes no token. */
  logprobs: z.int().min(0).max(LOGPROBS_TOP_MAX).optional(),
});

export type SamplingSettings = z.output<typeof samplingSettingsSchema>;

export const GREEDY: SamplingSettings = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
