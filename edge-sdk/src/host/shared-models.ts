import type { LoadProgress } from '../delivery/load-progress.js';
import type { ParsedLoadOptions } from '../options.js';
import { type HostedModel, openHostedModel } from './hosted-model.js';

interface Shared {
  hosts: number;
  loading: Promise<HostedModel>;
  waiting: Set<(progress: LoadProgress) => void>;
  lastProgress?: LoadProgress;
}

/** One model for all hosts that ask for the same, for as long as one of them needs it. */
export class SharedModels {
  readonly #models = new Map<string, Shared>();
  /** What no tab may choose for all others. */
  readonly #fixed: Pick<ParsedLoadOptions, 'worker'>;

  constructor(fixed: Pick<ParsedLoadOptions, 'worker'>) {
    this.#fixed = fixed;
  }

  /** A tab that aborts leaves; the others, who wait for the same, go on. */
  async open(source: string, { onProgress, signal: _, ...options }: ParsedLoadOptions): Promise<HostedModel> {
    const key = JSON.stringify([source, options]);
    const shared = this.#models.get(key) ?? this.#begin(key, source, options);
    shared.hosts++;
    if (onProgress) shared.waiting.add(onProgress);
    // Whoever comes late hears how far it is.
    if (shared.lastProgress) onProgress?.(shared.lastProgress);
    try {
      const { model, tokenizerFiles } = await shared.loading;
      return { model, tokenizerFiles, release: () => this.#release(key, shared) };
    } catch (error) {
      this.#models.delete(key);
      throw error;
    } finally {
      if (onProgress) shared.waiting.delete(onProgress);
    }
  }

  #begin(key: string, source: string, options: ParsedLoadOptions): Shared {
    const onProgress = (progress: LoadProgress) => {
      shared.lastProgress = progress;
      for (const tell of shared.waiting) tell(progress);
    };
    const loading = openHostedModel(source, { ...options, ...this.#fixed, onProgress });
    const shared: Shared = { hosts: 0, loading, waiting: new Set() };
    this.#models.set(key, shared);
    return shared;
  }

  async #release(key: string, shared: Shared): Promise<void> {
    if (--shared.hosts > 0) return;
    this.#models.delete(key);
    await (await shared.loading).release();
  }
}
