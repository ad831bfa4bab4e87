import { limits, type Random, type SamplingSettings, TandemError } from '@tandem/shared';
import { type CompletionRequest, type CompletionUsage, type FinishReason, OpenAiError } from '@tandem/shared/openai';
import { TextStream, type Tokenizer } from '@tandem/shared/tokenizer';
import type { CompletionEngine } from './completion-engine.js';

export interface CompletionsOptions {
  /** Name under which the model is asked for. */
  model: string;
  engine: CompletionEngine;
  tokenizer: Tokenizer;
  eosTokenIds: ReadonlySet<number>;
  random: Random;
}

/** A piece of text, or how it ended. */
export type CompletionEvent =
  | { kind: 'text'; text: string }
  | { kind: 'end'; finishReason: FinishReason; usage: CompletionUsage };

/** Prompt tokens that the first piece of output is decoded after: enough for any decoder's view to the left. */
const CONTEXT_TOKENS = 4;

/** Completions as text, and how many there may be at a time. Knows nothing of HTTP. */
export class Completions {
  readonly #options: CompletionsOptions;
  readonly #stopping = new AbortController();
  #running = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: CompletionsOptions) {
    this.#options = options;
  }

  get model(): string {
    return this.#options.model;
  }

  /** @throws OpenAiError 400, 404; TandemError SERVER_BUSY, SERVER_DRAINING, CONTEXT_TOO_LONG, ENGINE_FAILED, ABORTED */
  async *complete(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<CompletionEvent> {
    this.#checkRoom(request);
    this.#running++;
    try {
      yield* this.#write(request, AbortSignal.any([signal, this.#stopping.signal]));
    } finally {
      this.#running--;
      if (this.#running === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }

  /** Ends all completions; resolves when the last of them has let go of the engine. */
  async stop(): Promise<void> {
    this.#stopping.abort(new TandemError('SERVER_DRAINING', 'the server stops; ask again'));
    if (this.#running > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  async *#write(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<CompletionEvent> {
    const { engine, tokenizer, eosTokenIds } = this.#options;
    const prompt = tokenizer.encode(request.prompt);
    if (prompt.length === 0) throw new OpenAiError(400, 'prompt: it has no tokens', { param: 'prompt' });
    const stream = new TextStream(tokenizer, prompt.slice(-CONTEXT_TOKENS), request.stopSequences);
    const job = { prompt, maxTokens: request.maxTokens, sampling: this.#seeded(request.sampling), signal };
    let outputTokens = 0;
    let isEnded = false;
    for await (const token of engine.tokens(job)) {
      outputTokens++;
      isEnded = eosTokenIds.has(token);
      const text = isEnded ? '' : stream.push(token);
      if (text) yield { kind: 'text', text };
      if (stream.stopped) break;
    }
    const rest = stream.finish();
    if (rest) yield { kind: 'text', text: rest };
    const finishReason = isEnded || stream.stopped ? 'stop' : 'length';
    yield { kind: 'end', finishReason, usage: { inputTokens: prompt.length, outputTokens } };
  }

  #checkRoom({ model, sampling }: CompletionRequest): void {
    if (sampling.logprobs !== undefined) {
      const message = 'logprobs: not supported here; tandem serve-edge tells them';
      throw new OpenAiError(400, message, { param: 'logprobs' });
    }
    if (model !== this.#options.model) {
      const message = `model ${model} is not served here; this is ${this.#options.model}`;
      throw new OpenAiError(404, message, { param: 'model', code: 'model_not_found' });
    }
    this.#stopping.signal.throwIfAborted();
    if (this.#running < limits.COMPLETIONS_MAX) return;
    throw new TandemError('SERVER_BUSY', `${this.#running} completions are under way, the limit; try again later`);
  }

  #seeded({ seed, ...sampling }: CompletionRequest['sampling']): SamplingSettings {
    return { ...sampling, seed: seed ?? Math.floor(this.#options.random.next() * 0x1_0000_0000) };
  }
}
