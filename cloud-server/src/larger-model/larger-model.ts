import { type Clock, limits, type SamplingSettings } from '@tandem/shared';
import { type Tokenizer, textOf } from '@tandem/shared/tokenizer';
import type { Log } from '../log.js';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { type CompletionEndpoint, streamCompletion } from './completion-client.js';
import type { HandOffPolicy } from './hand-off-policy.js';
import { Passage, type PassageOutcome } from './passage.js';

export interface LargerModelOptions {
  endpoint: CompletionEndpoint;
  policy: HandOffPolicy;
  tokenizer: Tokenizer;
  eosTokenIds: readonly number[];
  /** Of one passage, counted in the small model's tokens. */
  tokensMax: number;
  timeoutMs: number;
  clock: Clock;
  log: Log;
  /** Default: nobody counts. */
  metrics?: Metrics;
  /** How a completion is had. Default: over HTTP. */
  stream?: typeof streamCompletion;
}

/** The larger model behind an OpenAI-compatible endpoint, for all sessions of this server. */
export class LargerModel {
  readonly #options: LargerModelOptions;
  readonly #breaker: CircuitBreaker;
  /** Passages that the endpoint still writes. */
  #writing = 0;

  constructor(options: LargerModelOptions) {
    this.#options = options;
    this.#breaker = new CircuitBreaker({
      failuresMax: limits.LARGER_MODEL_FAILURES_MAX,
      coolDownMs: limits.LARGER_MODEL_COOL_DOWN_MS,
      clock: options.clock,
    });
  }

  /** As it stands in the origin of its tokens. */
  get name(): string {
    return this.#options.endpoint.model;
  }

  get policy(): HandOffPolicy {
    return this.#options.policy;
  }

  /** Whether it makes sense to ask it now. */
  get isAvailable(): boolean {
    return this.#breaker.letsThrough && this.#writing < limits.PASSAGES_MAX;
  }

  /** Passages under way; a circuit that is open writes none. */
  get state(): { writing: number; isLeftAlone: boolean } {
    return { writing: this.#writing, isLeftAlone: !this.#breaker.letsThrough };
  }

  /** Has it go on behind these tokens. Undefined where they end within a character. */
  begin(context: readonly number[], sampling: SamplingSettings): Passage | undefined {
    const { endpoint, tokenizer, eosTokenIds, tokensMax, timeoutMs, clock } = this.#options;
    const { stream = streamCompletion } = this.#options;
    const prompt = textOf(tokenizer, context);
    if (prompt === undefined) return undefined;
    this.#writing++;
    const askedAtMs = clock.now();
    return new Passage({
      write: (signal) => stream(endpoint, { prompt, maxTokens: tokensMax, sampling }, signal),
      tokenizer,
      context,
      eosTokenId: eosTokenIds[0],
      tokensMax,
      timeoutMs,
      clock,
      onEnd: (outcome) => this.#ended(outcome, clock.now() - askedAtMs),
    });
  }

  /** The log gets reasons and figures, never text. */
  #ended(outcome: PassageOutcome, elapsedMs: number): void {
    const { metrics = NO_METRICS, log } = this.#options;
    this.#writing--;
    metrics.count('tandem_passages_total', 1, outcome.kind === 'failed' ? outcome.reason : outcome.kind);
    metrics.observe('tandem_passage_seconds', elapsedMs / 1_000);
    if (outcome.kind === 'finished') this.#breaker.succeeded();
    if (outcome.kind !== 'failed') return;
    this.#breaker.failed();
    const { reason, status } = outcome;
    const isLeftAlone = !this.#breaker.letsThrough;
    log.warn({ reason, status, isLeftAlone }, 'the larger model failed; the small one goes on');
  }
}
