import { z } from 'zod';
import {
  COMPLETION_PROMPT_CHARS_MAX,
  EXTEND_TOKENS_MAX,
  STOP_SEQUENCE_CHARS_MAX,
  STOP_SEQUENCES_MAX,
} from '../limits.js';
import { type SamplingSettings, samplingSettingsSchema } from '../sampling/settings.js';
import { OpenAiError } from './openai-error.js';

const { temperature, topK, topP, minP, seed } = samplingSettingsSchema.shape;
const text = z.string().max(COMPLETION_PROMPT_CHARS_MAX);
const stop = z.string().min(1).max(STOP_SEQUENCE_CHARS_MAX);
const nothing = (value: number | boolean) => z.literal(value, `only ${value} is supported`).nullish();
export const maxTokensSchema = z.int().min(1).max(EXTEND_TOKENS_MAX).nullish();

/**
 * What texts and conversations have in common, as OpenAI, vLLM and llama.cpp know it. What would be ignored is refused,
 * unless it has the value that asks for nothing: a client must not believe that a penalty works here.
 */
export const commonFields = {
  model: z.string().min(1).max(256),
  temperature: z.nullish(temperature.def.innerType),
  top_p: z.nullish(topP.def.innerType),
  seed: z.nullish(seed.def.innerType),
  stop: z.union([stop, z.array(stop).max(STOP_SEQUENCES_MAX)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).nullish(),
  /** As in vLLM and llama.cpp; -1 and 0 keep all. */
  top_k: z.nullish(z.union([topK.def.innerType, z.literal(-1)])),
  min_p: z.nullish(minP.def.innerType),
  n: nothing(1),
  presence_penalty: nothing(0),
  frequency_penalty: nothing(0),
  logit_bias: z.strictObject({}, 'not supported').nullish(),
  user: z.string().max(256).nullish(),
};

/** The body of `POST /v1/completions`. */
export const completionRequestSchema = z.strictObject({
  ...commonFields,
  prompt: z.union([text, z.tuple([text])], 'a text or a list of one text; token ids are not taken'),
  max_tokens: maxTokensSchema,
  best_of: nothing(1),
  echo: nothing(false),
  logprobs: z.nullish(samplingSettingsSchema.shape.logprobs),
  suffix: z.null('not supported').optional(),
});

/** What is asked for, with every default filled in. */
export interface CommonRequest {
  model: string;
  /** Without a seed where the client gave none: every answer is another one then. */
  sampling: Omit<SamplingSettings, 'seed'> & { seed: number | undefined };
  stopSequences: string[];
  stream: boolean;
  includeUsage: boolean;
}

export interface CompletionRequest extends CommonRequest {
  prompt: string;
  maxTokens: number;
}

/** OpenAI's own defaults. */
const DEFAULT_MAX_TOKENS = 16;
const DEFAULT_TEMPERATURE = 1;

/** @throws OpenAiError 400, naming the field. */
export function readCompletionRequest(body: string): CompletionRequest {
  const asked = readBodyAs(completionRequestSchema, body);
  return {
    ...commonOf(asked, asked.logprobs ?? undefined),
    prompt: typeof asked.prompt === 'string' ? asked.prompt : asked.prompt[0],
    maxTokens: asked.max_tokens ?? DEFAULT_MAX_TOKENS,
  };
}

/** @throws OpenAiError 400, naming the field. */
export function readBodyAs<Shape extends z.core.$ZodShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  body: string,
): z.output<z.ZodObject<Shape, z.core.$strict>> {
  const parsed = schema.safeParse(parseJson(body));
  if (!parsed.success) throw refusal(parsed.error.issues[0]!, Object.keys(schema.shape));
  return parsed.data;
}

const commonSchema = z.object(commonFields);

/** `logprobs`: how many alternatives are told; undefined for none at all. */
export function commonOf(asked: z.output<typeof commonSchema>, logprobs: number | undefined): CommonRequest {
  return {
    model: asked.model,
    sampling: {
      temperature: asked.temperature ?? DEFAULT_TEMPERATURE,
      topK: Math.max(0, asked.top_k ?? 0),
      topP: asked.top_p ?? 1,
      minP: asked.min_p ?? 0,
      seed: asked.seed ?? undefined,
      ...(logprobs === undefined ? {} : { logprobs }),
    },
    stopSequences: [asked.stop ?? []].flat(),
    stream: asked.stream ?? false,
    includeUsage: asked.stream_options?.include_usage ?? false,
  };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new OpenAiError(400, 'the body is not JSON');
  }
}

function refusal(issue: z.core.$ZodIssue, known: readonly string[]): OpenAiError {
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    const message = `unknown field ${issue.keys.join(', ')}; known are ${known.join(', ')}`;
    return new OpenAiError(400, message, { param: issue.keys[0] ?? '' });
  }
  const field = issue.path.join('.');
  return new OpenAiError(400, `${field || 'body'}: ${issue.message}`, field ? { param: field } : {});
}
