import { type Random, TandemError } from '@tandem/shared';
import { type ChatRequest, type CommonRequest, type CompletionRequest, OpenAiError } from '@tandem/shared/openai';
import type { Tokenizer } from '@tandem/shared/tokenizer';
import type { AnySession as Session } from '../host/model-api.js';
import type { EdgeModel } from '../model.js';
import type { GenerateOptions } from '../options.js';
import type { GenerationResult, TextPart } from '../session/generation.js';
import type { SessionPool } from './session-pool.js';

/** What goes on, a piece of the answer, or how it ended. */
export type AnswerEvent =
  | { kind: 'begin'; prompt: string }
  | { kind: 'part'; part: TextPart }
  | { kind: 'end'; result: GenerationResult /** Tells the same text again. */; seed: number };

/** Requests as generations of pooled sessions. Knows nothing of HTTP. */
export class Completer {
  readonly #model: EdgeModel;
  readonly #pool: SessionPool;
  readonly #random: Random;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(model: EdgeModel, pool: SessionPool, random: Random) {
    this.#model = model;
    this.#pool = pool;
    this.#random = random;
  }

  get modelName(): string {
    return this.#model.manifest.name;
  }

  get tokenizer(): Tokenizer {
    return this.#model.tokenizer;
  }

  /** @throws OpenAiError 404, 502; TandemError as `Session.generate`, and SERVER_BUSY, SERVER_DRAINING */
  complete(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
    return this.#answer(request, request.maxTokens, request.prompt, signal, (session, options) =>
      session.generate(request.prompt, options),
    );
  }

  /** @throws OpenAiError 404, 502; TandemError as `Session.chat`, and SERVER_BUSY, SERVER_DRAINING */
  async *chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
    this.#checkModel(request);
    const prompt = this.#model.applyChatTemplate(request.messages);
    const maxTokens = request.maxTokens ?? this.#model.manifest.contextLength;
    yield* this.#answer(request, maxTokens, prompt, signal, (session, options) =>
      session.chat(request.messages, options),
    );
  }

  /** Ends what runs; resolves when all of it has let go of its session. */
  async stop(): Promise<void> {
    this.#stopping.abort(new TandemError('SERVER_DRAINING', 'the endpoint stops; ask again'));
    await Promise.all(this.#running);
  }

  async *#answer(
    request: CommonRequest,
    maxOutputTokens: number,
    prompt: string,
    clientSignal: AbortSignal,
    start: (session: Session, options: GenerateOptions) => AsyncIterable<TextPart> & PromiseLike<GenerationResult>,
  ): AsyncGenerator<AnswerEvent> {
    this.#checkModel(request);
    const signal = AbortSignal.any([clientSignal, this.#stopping.signal]);
    signal.throwIfAborted();
    const { session, release } = await this.#pool.lease(prompt, signal);
    const seed = request.sampling.seed ?? Math.floor(this.#random.next() * 2 ** 32);
    let text = prompt;
    const { stopSequences } = request;
    const generation = start(session, { ...request.sampling, seed, maxOutputTokens, stopSequences, signal });
    const ended = Promise.resolve(generation).then(
      () => {},
      () => {},
    );
    const isReleased = ended.then(() => release(text));
    this.#running.add(isReleased);
    void isReleased.finally(() => this.#running.delete(isReleased));
    try {
      yield { kind: 'begin', prompt };
      for await (const part of generation) {
        text += part.text;
        yield { kind: 'part', part };
      }
      yield { kind: 'end', result: await generation, seed };
    } catch (error) {
      throw ownFault(error);
    }
  }

  #checkModel({ model }: CommonRequest): void {
    if (model === this.modelName) return;
    const message = `model ${model} is not served here; this is ${this.modelName}`;
    throw new OpenAiError(404, message, { param: 'model', code: 'model_not_found' });
  }
}

/** The client's key is right: what the server refused is this endpoint's own credential or model. */
function ownFault(error: unknown): unknown {
  if (!(error instanceof TandemError)) return error;
  if (error.code !== 'UNAUTHORIZED' && error.code !== 'MODEL_MISMATCH') return error;
  return new OpenAiError(502, `the cloud refused this endpoint: ${error.message}`, { code: error.code });
}
