import type { LedgerEntry } from '@tandem/edge/testing';

const EXIT = { kind: 'exit', stage: 1, verified: false, degraded: false } as const;

/** A draft of exit 1 that waits for a verdict. */
export function unverified(token: number, more: Partial<LedgerEntry> = {}): LedgerEntry {
  const evidence = { probability: 0.5, margin: 0.5, second: token + 1, entropy: 1 };
  return { token, origin: EXIT, state: 'unverified', ...evidence, ...more };
}

/** A token that exit 1 decided on its own. */
export function accepted(token: number): LedgerEntry {
  return unverified(token, { state: 'accepted', probability: 1 });
}
