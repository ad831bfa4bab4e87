import { kvCapacity } from '@tandem/shared';
import { CONTEXT_LENGTH } from './hash-chain.js';
import type { PrefixPlan, Scenario } from './scenario.js';
import { KV_BYTES_PER_POSITION } from './sim-server.js';

const ROW_BYTES_MAX = 8;
/** Of one context. */
export const KEPT_BYTES_MAX =
  kvCapacity(CONTEXT_LENGTH, CONTEXT_LENGTH) * KV_BYTES_PER_POSITION + CONTEXT_LENGTH * ROW_BYTES_MAX;

/** Contexts that a server may keep for later sessions: one for every beginning, kind of context and codec. */
export function keptMax({ clients }: Scenario, blocks: ReadonlyMap<PrefixPlan, readonly string[]>): number {
  const beginnings = clients.flatMap(({ prefix, options: { mode, codec } }) =>
    ((prefix && blocks.get(prefix)) ?? []).map((hash) => `${hash} ${mode === 'cloud-only'} ${codec}`),
  );
  return new Set(beginnings).size;
}
