import type { Evidence } from '@tandem/shared';

/** What a policy may look at when an exit has spoken. */
export interface ExitEvidence extends Evidence {
  /** 1-based: the exit at the end of that device stage. */
  exit: number;
  /** Tokens generated before this one in the same text. */
  generated: number;
  /** What earlier exits said of the same token, first exit first. */
  earlier: readonly Evidence[];
  /** Entropies (nats) at which the tokens before this one were decided, newest last; at most ENTROPY_HISTORY. */
  recentEntropies: readonly number[];
  /** Cosine between the row before and after the exit's stage; 0 at the first exit. */
  rowSimilarity: number;
  /** Smoothed round trip to the server; undefined while none was measured. */
  roundTripMs: number | undefined;
}

/** Tokens that a rolling policy can look back. */
export const ENTROPY_HISTORY = 64;

/** Says whether an exit is sure of its token. A small pure value; policies combine (`anyOf`, `allOf`). */
export interface ExitPolicy {
  /** For tables and logs: what it is, with its numbers. */
  readonly name: string;
  isConfident(evidence: ExitEvidence): boolean;
}

/**
 * One number for all exits; one per exit, of which the last one holds for all further exits; or a number that depends on
 * the evidence (`decaying`, `latencyAware`).
 */
export type PerExit = number | readonly number[] | ((evidence: ExitEvidence) => number);

/** @returns the number that holds for this evidence */
export function forExit(values: PerExit, evidence: ExitEvidence): number {
  if (typeof values === 'number') return values;
  if (typeof values === 'function') return values(evidence);
  // An empty list is never sure: NaN compares false.
  return values[evidence.exit - 1] ?? values.at(-1) ?? Number.NaN;
}

export function describe(values: PerExit): string {
  if (typeof values === 'function') return 'that changes';
  return [values]
    .flat()
    .map((value) => (Number.isNaN(value) ? 'never' : value))
    .join(', ');
}
