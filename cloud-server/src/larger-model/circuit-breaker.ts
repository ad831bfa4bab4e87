import type { Clock } from '@tandem/shared';

export interface CircuitBreakerOptions {
  /** Failures in a row after which nobody is let through for `coolDownMs`; then one try decides anew. */
  failuresMax: number;
  coolDownMs: number;
  clock: Clock;
}

/** Keeps a dead endpoint from delaying every passage by its deadline. */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failures = 0;
  #closedAgainAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get letsThrough(): boolean {
    return this.#options.clock.now() >= this.#closedAgainAtMs;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    const { failuresMax, coolDownMs, clock } = this.#options;
    if (++this.#failures >= failuresMax) this.#closedAgainAtMs = clock.now() + coolDownMs;
  }
}
