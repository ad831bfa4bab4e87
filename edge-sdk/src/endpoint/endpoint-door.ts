import type { IncomingMessage, ServerResponse } from 'node:http';
import { limits, unixSeconds } from '@tandem/shared';
import { answerError, beginEvents, checkMethod, json, readPost, write } from '@tandem/shared/node';
import {
  type CommonRequest,
  type CompletionHead,
  chatAnswer,
  chatPart,
  completionAnswer,
  type FinishReason,
  modelList,
  OpenAiError,
  readChatRequest,
  readCompletionRequest,
  sseEvent,
  toOpenAiError,
  usageAnswer,
  usageOf,
} from '@tandem/shared/openai';
import type { GeneratedToken } from '../session/generation.js';
import type { AnswerEvent, Completer } from './completer.js';
import type { Gate } from './gate.js';
import { LogprobsWriter } from './logprobs-writer.js';

/** How an answer is written down: `/v1/completions` and `/v1/chat/completions` differ in nothing else. */
interface Wording {
  idPrefix: 'cmpl' | 'chatcmpl';
  object: 'text_completion' | 'chat.completion.chunk';
  whole(head: CompletionHead, text: string, finishReason: FinishReason, logprobs: object | null): object;
  first(head: CompletionHead): object | undefined;
  piece(head: CompletionHead, text: string, logprobs: object | null): object;
  last(head: CompletionHead, finishReason: FinishReason): object;
  logprobs(writer: LogprobsWriter, tokens: readonly GeneratedToken[]): object;
}

const TEXT: Wording = {
  idPrefix: 'cmpl',
  object: 'text_completion',
  whole: completionAnswer,
  first: () => undefined,
  piece: (head, text, logprobs) => completionAnswer(head, text, null, logprobs),
  last: (head, finishReason) => completionAnswer(head, '', finishReason),
  logprobs: (writer, tokens) => writer.lists(tokens),
};

const CHAT: Wording = {
  idPrefix: 'chatcmpl',
  object: 'chat.completion.chunk',
  whole: chatAnswer,
  first: (head) => chatPart(head, { role: 'assistant', content: '' }, null),
  piece: (head, content, logprobs) => chatPart(head, { content }, null, logprobs),
  last: (head, finishReason) => chatPart(head, {}, finishReason),
  logprobs: (writer, tokens) => writer.content(tokens),
};

/** OpenAI's paths over HTTP. Every answer also has `tandem`: who decided each token, and what it took. */
export class EndpointDoor {
  readonly #completer: Completer;
  readonly #gate: Gate;
  readonly #created = unixSeconds();
  #answers = 0;

  constructor(completer: Completer, gate: Gate) {
    this.#completer = completer;
    this.#gate = gate;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (this.#gate.admit(request, response) === 'answered') return;
      await this.#route(request, response);
    } catch (error) {
      answerError(response, toOpenAiError(error));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.on('close', () => left.abort());
    switch (request.url?.split('?')[0]) {
      case '/v1/models':
        checkMethod(request, 'GET');
        request.resume();
        return json(response, 200, modelList(this.#completer.modelName, this.#created));
      case '/v1/completions': {
        const asked = readCompletionRequest(await readPost(request, limits.COMPLETION_BODY_BYTES_MAX));
        return await this.#respond(asked, TEXT, this.#completer.complete(asked, left.signal), response);
      }
      case '/v1/chat/completions': {
        const asked = readChatRequest(await readPost(request, limits.COMPLETION_BODY_BYTES_MAX));
        return await this.#respond(asked, CHAT, this.#completer.chat(asked, left.signal), response);
      }
      default:
        throw new OpenAiError(404, 'there are /v1/chat/completions, /v1/completions and /v1/models here');
    }
  }

  async #respond(
    asked: CommonRequest,
    wording: Wording,
    events: AsyncGenerator<AnswerEvent>,
    response: ServerResponse,
  ): Promise<void> {
    const id = `${wording.idPrefix}-${this.#created}-${++this.#answers}`;
    const head = { id, model: asked.model, created: unixSeconds() };
    let writer: LogprobsWriter | undefined;
    const answer: Answer = {
      head,
      wording,
      begin: (prompt) => {
        if (asked.sampling.logprobs !== undefined) writer = new LogprobsWriter(this.#completer.tokenizer, prompt);
      },
      logprobs: (tokens) => (writer && tokens.length > 0 ? wording.logprobs(writer, tokens) : null),
    };
    if (asked.stream) await stream(asked, answer, events, response);
    else await answerWhole(answer, events, response);
  }
}

interface Answer {
  head: CompletionHead;
  wording: Wording;
  begin(prompt: string): void;
  /** Null where nobody asked for them. Of each token once, in order. */
  logprobs(tokens: readonly GeneratedToken[]): object | null;
}

/** The status waits for the first piece: until then a failure can still have one of its own. */
async function stream(
  { includeUsage }: CommonRequest,
  { head, wording, begin, logprobs }: Answer,
  events: AsyncGenerator<AnswerEvent>,
  response: ServerResponse,
): Promise<void> {
  const send = (data: object) => write(response, sseEvent(data));
  for await (const event of events) {
    if (event.kind === 'begin') {
      begin(event.prompt);
      continue;
    }
    if (!response.headersSent) {
      beginEvents(response);
      const first = wording.first(head);
      if (first) await send(first);
    }
    if (event.kind === 'part') {
      const { text, tokens } = event.part;
      await send({ ...wording.piece(head, text, logprobs(tokens)), tandem: { tokens: tokens.map(originOf) } });
      continue;
    }
    const { result, seed } = event;
    const { timings, transfer } = result;
    await send({ ...wording.last(head, result.finishReason), tandem: { tokens: [], seed, timings, transfer } });
    if (includeUsage) await send(usageAnswer(head, result.usage, wording.object));
  }
  response.end(sseEvent('[DONE]'));
}

async function answerWhole(
  { head, wording, begin, logprobs }: Answer,
  events: AsyncGenerator<AnswerEvent>,
  response: ServerResponse,
): Promise<void> {
  for await (const event of events) {
    if (event.kind === 'begin') begin(event.prompt);
    if (event.kind !== 'end') continue;
    const { result, seed } = event;
    const { text, finishReason, usage, timings, transfer } = result;
    const tandem = { tokens: result.tokens.map(originOf), seed, timings, transfer };
    const answer = wording.whole(head, text, finishReason, logprobs(result.tokens));
    json(response, 200, { ...answer, usage: usageOf(usage), tandem });
  }
}

/** `{ id, kind: 'exit', stage, verified, degraded }`, `{ id, kind: 'cloud' }` … */
function originOf({ id, origin }: GeneratedToken): object {
  return { id, ...origin };
}
