import { z } from 'zod';

/** What all parts of one answer have in common. */
export interface CompletionHead {
  id: string;
  model: string;
  /** Unix seconds. */
  created: number;
}

export type FinishReason = 'stop' | 'length';

export interface CompletionUsage {
  inputTokens: number;
  outputTokens: number;
}

/** A whole answer, or one part of a stream: both have the same shape. `finishReason`: null while there is more to come. */
export function completionAnswer(
  { id, model, created }: CompletionHead,
  text: string,
  finishReason: FinishReason | null,
  logprobs: object | null = null,
): object {
  const choices = [{ index: 0, text, logprobs, finish_reason: finishReason }];
  return { id, object: 'text_completion', created, model, choices };
}

/** A whole answer in a conversation. */
export function chatAnswer(
  { id, model, created }: CompletionHead,
  content: string,
  finishReason: FinishReason,
  logprobs: object | null = null,
): object {
  const message = { role: 'assistant', content, refusal: null };
  const choices = [{ index: 0, message, logprobs, finish_reason: finishReason }];
  return { id, object: 'chat.completion', created, model, choices };
}

/** One part of a streamed answer in a conversation; the first one also says who speaks. */
export function chatPart(
  { id, model, created }: CompletionHead,
  delta: { role?: 'assistant'; content?: string },
  finishReason: FinishReason | null,
  logprobs: object | null = null,
): object {
  const choices = [{ index: 0, delta, logprobs, finish_reason: finishReason }];
  return { id, object: 'chat.completion.chunk', created, model, choices };
}

/** The last part of a stream whose client asked for it: no text, only figures. */
export function usageAnswer(
  { id, model, created }: CompletionHead,
  usage: CompletionUsage,
  object: 'text_completion' | 'chat.completion.chunk' = 'text_completion',
): object {
  return { id, object, created, model, choices: [], usage: usageOf(usage) };
}

export function usageOf({ inputTokens, outputTokens }: CompletionUsage): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

/** The answer of `GET /v1/models`. */
export function modelList(model: string, created: number): object {
  return { object: 'list', data: [{ id: model, object: 'model', created, owned_by: 'tandem' }] };
}

/** One server-sent event. */
export function sseEvent(data: object | '[DONE]'): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

/** What is read of a stream's part; servers add fields of their own. */
const partSchema = z.object({
  choices: z
    .array(z.object({ text: z.string().max(65_536), finish_reason: z.string().max(64).nullish() }))
    .max(16)
    .optional(),
  error: z.unknown().optional(),
});

export type CompletionPart =
  | { kind: 'text'; text: string; finishReason: string | undefined }
  /** `data: [DONE]` */
  | { kind: 'done' }
  /** The server tells in mid-stream that it failed. */
  | { kind: 'failed' }
  | { kind: 'malformed' };

/** Reads the data of one event of `/v1/completions` from any server that speaks OpenAI's language. */
export function readCompletionPart(data: string): CompletionPart {
  if (data.trim() === '[DONE]') return { kind: 'done' };
  const parsed = partSchema.safeParse(parseJson(data));
  if (!parsed.success) return { kind: 'malformed' };
  if (parsed.data.error !== undefined && parsed.data.error !== null) return { kind: 'failed' };
  if (!parsed.data.choices) return { kind: 'malformed' };
  // A part with figures only has no choice.
  const [choice] = parsed.data.choices;
  return { kind: 'text', text: choice?.text ?? '', finishReason: choice?.finish_reason ?? undefined };
}

function parseJson(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}
