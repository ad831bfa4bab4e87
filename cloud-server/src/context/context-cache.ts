import { type Metrics, NO_METRICS } from '../metrics/metrics.js';

/** A context as the cache sees it. */
export interface CachedContext {
  /** KV in an engine, at most. */
  readonly kvBytes: number;
  /** Received rows. */
  readonly rowBytes: number;
  /** A step of it runs or waits: its memory is in use. */
  readonly isBusy: boolean;
  /** Its client is there, or said that it will come back. */
  readonly isExpected: boolean;
  /** Gives the KV back; the rows stay. Resolves when an engine has it, where that matters. */
  compact(): void | Promise<void>;
  /** Gives the rows back as well. */
  drop(): void;
}

/** Bytes by state. */
export interface ContextBytes {
  hot: number;
  rows: number;
}

/**
 * One byte budget over the contexts of all sessions. When it is exceeded, contexts that nobody uses right now give way,
 * longest unused first, and among them first those whose client is not expected back: KV first, since a pass over the
 * rows brings it back; rows only when no KV is left to give, since then the device has to send them again. Nothing is
 * lost for good: any loss costs time, never text.
 */
export class ContextCache {
  /** Set anew once the memory of a device was measured, before the first session. */
  budgetBytes: number;
  readonly #metrics: Metrics;
  /** Last used last. The value: what was counted of it. */
  readonly #hot = new Map<CachedContext, ContextBytes>();
  readonly #cold = new Map<CachedContext, ContextBytes>();
  readonly #total: ContextBytes = { hot: 0, rows: 0 };

  constructor(budgetBytes: number, metrics: Metrics = NO_METRICS) {
    this.budgetBytes = budgetBytes;
    this.#metrics = metrics;
  }

  get bytes(): Readonly<ContextBytes> {
    return this.#total;
  }

  /** It was used or has changed: counts it anew, as the last used, and makes room if that is needed. */
  used(context: CachedContext): void {
    this.#count(context);
    this.#enforce(context);
  }

  /** It is gone. */
  removed(context: CachedContext): void {
    this.#uncount(context);
  }

  /**
   * An engine's device has no memory for a step of this context, whatever the budget says. Others give their KV back, as much as this
   * one has; false where none can.
   */
  async makeWay(context: CachedContext): Promise<boolean> {
    this.#metrics.count('tandem_device_refusals_total');
    const given: (void | Promise<void>)[] = [];
    for (let freed = 0; freed === 0 || freed < context.kvBytes; ) {
      const other = victim(this.#hot, context);
      if (!other) break;
      freed += other.kvBytes;
      given.push(this.#compact(other));
    }
    await Promise.all(given);
    return given.length > 0;
  }

  #compact(context: CachedContext): void | Promise<void> {
    const given = context.compact();
    this.#metrics.count('tandem_context_evictions_total', 1, 'rows');
    this.#count(context);
    return given;
  }

  #count(context: CachedContext): void {
    this.#uncount(context);
    const bytes = { hot: context.kvBytes, rows: context.rowBytes };
    if (bytes.hot > 0) this.#hot.set(context, bytes);
    else if (bytes.rows > 0) this.#cold.set(context, bytes);
    this.#total.hot += bytes.hot;
    this.#total.rows += bytes.rows;
  }

  #uncount(context: CachedContext): void {
    const bytes = this.#hot.get(context) ?? this.#cold.get(context);
    if (!bytes) return;
    this.#total.hot -= bytes.hot;
    this.#total.rows -= bytes.rows;
    this.#hot.delete(context);
    this.#cold.delete(context);
  }

  /** Not at the expense of the one just used: its client is about to be told how far it got. */
  #enforce(used: CachedContext): void {
    while (this.#total.hot + this.#total.rows > this.budgetBytes) {
      const hot = victim(this.#hot, used);
      const context = hot ?? victim(this.#cold, used);
      if (!context) return;
      if (hot) {
        void this.#compact(context);
        continue;
      }
      context.drop();
      this.#metrics.count('tandem_context_evictions_total', 1, 'nothing');
      this.#count(context);
    }
  }
}

function victim(contexts: ReadonlyMap<CachedContext, ContextBytes>, used: CachedContext): CachedContext | undefined {
  let expected: CachedContext | undefined;
  for (const context of contexts.keys()) {
    if (context.isBusy || context === used) continue;
    if (!context.isExpected) return context;
    expected ??= context;
  }
  return expected;
}
