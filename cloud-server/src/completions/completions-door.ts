import type { IncomingMessage, ServerResponse } from 'node:http';
import { limits, unixSeconds } from '@tandem/shared';
import { answerError, beginEvents, checkMethod, json, readPost, write } from '@tandem/shared/node';
import {
  type CompletionHead,
  type CompletionRequest,
  completionAnswer,
  modelList,
  OpenAiError,
  readCompletionRequest,
  sseEvent,
  toOpenAiError,
  usageAnswer,
  usageOf,
} from '@tandem/shared/openai';
import type { Doorkeeper } from '../gateway/doorkeeper.js';
import type { Log } from '../log.js';
import type { CompletionEvent, Completions } from './completions.js';

export interface CompletionsDoorOptions {
  completions: Completions;
  doorkeeper: Doorkeeper;
  log: Log;
}

/** `POST /v1/completions` and `GET /v1/models` as OpenAI's clients know them, over the whole model of this server. */
export class CompletionsDoor {
  readonly #options: CompletionsDoorOptions;
  readonly #created = unixSeconds();
  #answers = 0;

  constructor(options: CompletionsDoorOptions) {
    this.#options = options;
  }

  handles(path: string | undefined): boolean {
    return path === '/v1/completions' || path === '/v1/models';
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#admit(request);
      if (request.url === '/v1/models') return this.#models(request, response);
      await this.#complete(request, response);
    } catch (error) {
      this.#refuse(response, error);
    }
  }

  /** The credential of the sockets, as bearer token. Pages of foreign origins could spend a visitor's own server. */
  async #admit({ headers }: IncomingMessage): Promise<void> {
    const { doorkeeper } = this.#options;
    if (!doorkeeper.allowsOrigin(headers.origin)) {
      throw new OpenAiError(
        403,
        'pages of this origin may not ask; the server names those that may with --allow-origin',
      );
    }
    const [, token] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    const identity = await doorkeeper.identify(token);
    if (identity.kind === 'busy') throw new OpenAiError(503, 'many credentials are being checked; try again later');
    if (identity.kind === 'stranger') {
      const message = 'the credential is missing or unknown; send it as Authorization: Bearer <token>';
      throw new OpenAiError(401, message, { code: 'invalid_api_key' });
    }
  }

  #models(request: IncomingMessage, response: ServerResponse): void {
    checkMethod(request, 'GET');
    request.resume();
    json(response, 200, modelList(this.#options.completions.model, this.#created));
  }

  async #complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = readCompletionRequest(await readPost(request, limits.COMPLETION_BODY_BYTES_MAX));
    const left = new AbortController();
    response.on('close', () => left.abort());
    const events = this.#options.completions.complete(asked, left.signal);
    const head = { id: `cmpl-${this.#created}-${++this.#answers}`, model: asked.model, created: unixSeconds() };
    if (asked.stream) await this.#stream(asked, head, events, response);
    else await answerWhole(head, events, response);
  }

  /** The status waits for the first piece: until then a failure can still have one of its own. */
  async #stream(
    { includeUsage }: CompletionRequest,
    head: CompletionHead,
    events: AsyncGenerator<CompletionEvent>,
    response: ServerResponse,
  ): Promise<void> {
    for await (const event of events) {
      beginEvents(response);
      if (event.kind === 'text') await write(response, sseEvent(completionAnswer(head, event.text, null)));
      else {
        await write(response, sseEvent(completionAnswer(head, '', event.finishReason)));
        if (includeUsage) await write(response, sseEvent(usageAnswer(head, event.usage)));
      }
    }
    response.end(sseEvent('[DONE]'));
  }

  #refuse(response: ServerResponse, error: unknown): void {
    const answer = toOpenAiError(error);
    if (answer.status >= 500) this.#options.log.warn({ status: answer.status }, 'a completion failed');
    answerError(response, answer);
  }
}

async function answerWhole(
  head: CompletionHead,
  events: AsyncGenerator<CompletionEvent>,
  response: ServerResponse,
): Promise<void> {
  let text = '';
  for await (const event of events) {
    if (event.kind === 'text') text += event.text;
    else json(response, 200, { ...completionAnswer(head, text, event.finishReason), usage: usageOf(event.usage) });
  }
}
