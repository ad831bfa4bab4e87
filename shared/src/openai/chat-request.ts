import { z } from 'zod';
import { COMPLETION_PROMPT_CHARS_MAX } from '../limits.js';
import { samplingSettingsSchema } from '../sampling/settings.js';
import { type CommonRequest, commonFields, commonOf, maxTokensSchema, readBodyAs } from './completion-request.js';
import { OpenAiError } from './openai-error.js';

/** Messages of one conversation. */
const MESSAGES_MAX = 4_096;
const CONTENT_PARTS_MAX = 256;

const text = z.string().max(COMPLETION_PROMPT_CHARS_MAX);
const contentPart = z.strictObject({ type: z.literal('text', 'only text is taken'), text });
const ROLES = ['system', 'developer', 'user', 'assistant'] as const;

/** The body of `POST /v1/chat/completions`; see `commonFields` for what is refused. */
const chatRequestSchema = z.strictObject({
  ...commonFields,
  messages: z
    .array(
      z.strictObject({
        role: z.enum(ROLES, `one of ${ROLES.join(', ')}`),
        content: z.union([text, z.array(contentPart).max(CONTENT_PARTS_MAX)], 'a text, or a list of text parts'),
        name: z.string().max(256).nullish(),
        refusal: z.null('not supported').optional(),
      }),
    )
    .min(1)
    .max(MESSAGES_MAX),
  max_tokens: maxTokensSchema,
  /** OpenAI's newer name for it. */
  max_completion_tokens: maxTokensSchema,
  logprobs: z.boolean().nullish(),
  top_logprobs: z.nullish(samplingSettingsSchema.shape.logprobs),
  response_format: z.strictObject({ type: z.literal('text', 'only text is supported') }).nullish(),
  tools: z.array(z.never('not supported')).nullish(),
  tool_choice: z.literal(['none', 'auto'], 'not supported').nullish(),
  store: z.literal(false, 'not supported').nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
});

export interface ChatRequest extends CommonRequest {
  messages: { role: string; content: string }[];
  /** Undefined: as far as the context goes. */
  maxTokens: number | undefined;
}

/** @throws OpenAiError 400, naming the field. */
export function readChatRequest(body: string): ChatRequest {
  const asked = readBodyAs(chatRequestSchema, body);
  if (asked.top_logprobs && !asked.logprobs) {
    throw new OpenAiError(400, 'top_logprobs: only with logprobs: true', { param: 'top_logprobs' });
  }
  return {
    ...commonOf(asked, asked.logprobs ? (asked.top_logprobs ?? 0) : undefined),
    messages: asked.messages.map(({ role, content }) => ({
      // Templates of open models know the older name only.
      role: role === 'developer' ? 'system' : role,
      content: typeof content === 'string' ? content : content.map((part) => part.text).join(''),
    })),
    maxTokens: asked.max_completion_tokens ?? asked.max_tokens ?? undefined,
  };
}
