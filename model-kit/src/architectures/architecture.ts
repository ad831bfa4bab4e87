import type { Arithmetic, ModelShape } from '@tandem/shared';
import type { TensorName } from '../checkpoint.js';

/** What a `config.json` says, in Tandem's words. */
export interface ModelDescription {
  shape: ModelShape;
  arithmetic: Arithmetic;
  tiedHead: boolean;
  bosTokenId: number | null;
  eosTokenIds: number[];
}

/** Where a tensor lies in the published files. */
export interface TensorSource {
  name: string;
  /** The tensor is the lines `[begin, end)` of a published one with `of` lines (fused projections). */
  lines?: { begin: number; end: number; of: number };
  /** Published as `(inputs, outputs)`. */
  transposed?: boolean;
  /** Added to every number: norms that are published as their distance from one. */
  offset?: number;
}

/**
 * One family of checkpoints. All that Tandem knows of it stands in one file that exports one of these; graph builder and
 * reference transformer only see the `Arithmetic` that comes out.
 */
export interface Architecture {
  /** `model_type` in config.json. */
  modelType: string;
  /** The class that `architectures` in config.json names. */
  className: string;
  /** Published models, for people. */
  models: string;
  /** @throws TandemError CHECKPOINT_INVALID, or UNSUPPORTED_ARCHITECTURE for a variant that would give other numbers */
  describe(config: unknown): ModelDescription;
  /** Places to look for a tensor, the first that exists counts. */
  sources(tensor: TensorName, model: ModelDescription): TensorSource[];
}
