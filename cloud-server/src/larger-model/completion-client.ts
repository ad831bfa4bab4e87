import type { SamplingSettings } from '@tandem/shared';
import { readCompletionPart } from '@tandem/shared/openai';
import { type EventSourceMessage, EventSourceParserStream, ParseError } from 'eventsource-parser/stream';

/** A server that speaks OpenAI's `/v1/completions`: vLLM, llama.cpp, Ollama, a second tandem-cloud. */
export interface CompletionEndpoint {
  /** Base address as OpenAI's clients take it: `http://localhost:8000/v1`. */
  url: string;
  model: string;
  /** Bearer token. */
  key: string | undefined;
}

export interface CompletionOrder {
  prompt: string;
  maxTokens: number;
  sampling: SamplingSettings;
}

/** Why an endpoint gave no text. Names and figures only: they go into logs. */
export type CompletionFailureReason = 'unreachable' | 'refused' | 'malformed' | 'broken-off' | 'failed-in-stream';

export class CompletionFailure extends Error {
  readonly reason: CompletionFailureReason;
  readonly status: number | undefined;

  constructor(reason: CompletionFailureReason, status?: number) {
    super(reason);
    this.reason = reason;
    this.status = status;
  }
}

/** One event holds a few words; a stream of something else must not fill the memory. */
const EVENT_CHARS_MAX = 65_536;

export interface CompletionText {
  text: string;
  /** `stop`: the model ended the text; `length`: it was cut off. Undefined while more may come. */
  finishReason: string | undefined;
}

/**
 * Streams a completion. The only door to eventsource-parser.
 * @throws CompletionFailure; the signal's reason once it is aborted
 */
export async function* streamCompletion(
  endpoint: CompletionEndpoint,
  order: CompletionOrder,
  signal: AbortSignal,
): AsyncGenerator<CompletionText> {
  const events = await open(endpoint, order, signal);
  let isFinished = false;
  try {
    for await (const { data } of events) {
      const part = readCompletionPart(data);
      switch (part.kind) {
        case 'done':
          if (isFinished) return;
          throw new CompletionFailure('broken-off');
        case 'failed':
          throw new CompletionFailure('failed-in-stream');
        case 'malformed':
          throw new CompletionFailure('malformed');
        case 'text':
          isFinished ||= part.finishReason !== undefined;
          yield part;
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CompletionFailure) throw error;
    throw new CompletionFailure(error instanceof ParseError ? 'malformed' : 'broken-off');
  }
  if (!isFinished) throw new CompletionFailure('broken-off');
}

async function open(
  endpoint: CompletionEndpoint,
  order: CompletionOrder,
  signal: AbortSignal,
): Promise<AsyncIterable<EventSourceMessage>> {
  const answer = await fetch(`${endpoint.url.replace(/\/+$/, '')}/completions`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'text/event-stream',
      ...(endpoint.key ? { Authorization: `Bearer ${endpoint.key}` } : {}),
    },
    body: JSON.stringify(bodyOf(endpoint.model, order)),
    // The prompt is somebody's text: it goes where the operator said and nowhere else.
    redirect: 'manual',
    signal,
  }).catch(() => {
    signal.throwIfAborted();
    throw new CompletionFailure('unreachable');
  });
  const isStream = /^text\/event-stream\b/i.test(answer.headers.get('content-type') ?? '');
  if (answer.ok && isStream && answer.body) {
    const events = answer.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream({ onError: 'terminate', maxBufferSize: EVENT_CHARS_MAX }));
    return events as unknown as AsyncIterable<EventSourceMessage>;
  }
  await answer.body?.cancel().catch(() => {});
  throw new CompletionFailure(answer.ok ? 'malformed' : 'refused', answer.status);
}

/** Fields beyond OpenAI's own go along only when they ask for something. */
function bodyOf(model: string, { prompt, maxTokens, sampling }: CompletionOrder): object {
  const { temperature, topP, topK, minP, seed } = sampling;
  return {
    model,
    prompt,
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    seed,
    stream: true,
    ...(topK > 0 ? { top_k: topK } : {}),
    ...(minP > 0 ? { min_p: minP } : {}),
  };
}
