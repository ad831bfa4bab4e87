import { gatherEvidence, limits } from '@tandem/shared';
import type { FaultKind } from './faults.js';
import { finalLogits } from './hash-chain.js';
import type { ClientPlan, LargerModelPlan, Scenario, Turn } from './scenario.js';

/** With them, or with a larger model that fails, a server begins to watch the text anew, or gives up: then any place is right. */
export const FORGETTING: ReadonlySet<FaultKind> = new Set([
  'server-crash',
  'drain',
  'move',
  'crowd',
  'old-token',
  'larger-model',
] as const);

/**
 * Whether passages of this session's first text have one right place each: docs/larger-model.md promises it where nobody
 * forgets or fails, and no exit settles a token by itself.
 */
export function hasFixedPassages({ server, clients, faults }: Scenario, { options, tabOf }: ClientPlan): boolean {
  if (!server.largerModel || options.largerModel !== 'allow') return false;
  const isAlone = tabOf === undefined && clients.every((other) => other.tabOf === undefined);
  // Who lost the answer with its new token comes with an old one.
  const isRemembered =
    !server.hasResumeTokens && server.sessionsMax > clients.length && server.resumeWindowMs > limits.SILENCE_TIMEOUT_MS;
  const asksAlways = options.mode !== 'collaborative' && options.onCloudUnavailable !== 'degrade';
  return isAlone && isRemembered && asksAlways && !faults.some(({ kind }) => FORGETTING.has(kind));
}

/** Who is to choose each token of a text, told row by row: the rule of docs/larger-model.md, once more and without a server. */
export class HandOffOracle {
  readonly #plan: LargerModelPlan;
  readonly #capacity: number;
  /** Of the rows that count, the last one at the end. */
  #entropies: number[] = [];
  /** Tokens of the passage so far; undefined outside of one. */
  #written: number | undefined;

  constructor(plan: LargerModelPlan, { options }: ClientPlan) {
    this.#plan = plan;
    this.#capacity = options.capacity;
  }

  /** Whether the token at `position` is the larger model's. `state`: of the whole model behind the text before it. */
  isLarger(position: number, state: number): boolean {
    this.#entropies.push(gatherEvidence(finalLogits(state)).entropy);
    const isLarger = this.#written === undefined ? this.#handsOver(position) : this.#goesOn(position);
    if (isLarger && this.#written === undefined) this.#entropies = [];
    if (!isLarger && this.#written !== undefined) this.#entropies = [];
    this.#written = isLarger ? (this.#written ?? 0) + 1 : undefined;
    return isLarger;
  }

  #handsOver(position: number): boolean {
    const { window, patience, ceiling } = this.#plan;
    if (position >= this.#capacity || this.#entropies.length < window + patience - 1) return false;
    return Array.from({ length: patience }, (_, back) => this.#mean(back)).every((mean) => mean >= ceiling);
  }

  /** Only where a part ends is the small model asked. */
  #goesOn(position: number): boolean {
    const { window, floor, tokensMax } = this.#plan;
    if (position >= this.#capacity || this.#written === tokensMax) return false;
    if (this.#written! % limits.PASSAGE_TOKENS_MAX > 0) return true;
    return this.#entropies.length < window || this.#mean(0) > floor;
  }

  #mean(back: number): number {
    const end = this.#entropies.length - back;
    return (
      this.#entropies.slice(end - this.#plan.window, end).reduce((sum, entropy) => sum + entropy, 0) / this.#plan.window
    );
  }
}

export function fixedPassages(scenario: Scenario, plan: ClientPlan, turn: Turn): HandOffOracle | undefined {
  const { largerModel } = scenario.server;
  const isFirst = turn === plan.turns[0];
  return largerModel && isFirst && hasFixedPassages(scenario, plan) ? new HandOffOracle(largerModel, plan) : undefined;
}
