import type { LedgerEntry } from './ledger-entry.js';

/**
 * Which rows of `[from, to)` want a verdict: those whose next token is an unverified draft and, with `askLast`, the
 * very last one, for which there is no draft. `entryAfter(row)` is the token behind a row.
 */
export function wantsOf(
  from: number,
  to: number,
  entryAfter: (row: number) => LedgerEntry | undefined,
  askLast: boolean,
): { want: number[]; drafts: number[] } {
  const want: number[] = [];
  const drafts: number[] = [];
  for (let row = from; row < to; row++) {
    const next = entryAfter(row);
    if (next?.state === 'unverified') {
      want.push(row);
      drafts.push(next.token);
    } else if (row === to - 1 && !next && askLast) want.push(row);
  }
  return { want, drafts };
}
