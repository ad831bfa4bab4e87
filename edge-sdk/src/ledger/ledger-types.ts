import type { LedgerEntry } from './ledger-entry.js';

/**
 * Names one continuation of the text: the main line or its branch. Positions before `sharedTo` belong to both; a main
 * line shares everything with itself. `revision` changes when tokens were taken back: whoever worked on the last of
 * them meanwhile has to start over.
 */
export interface LineMark {
  sharedTo: number;
  revision: number;
}

/** What goes up next. The session adds sampling and sends it. */
export interface Forward {
  epoch: number;
  from: number;
  count: number;
  want: number[];
  drafts: number[];
  /** The payload is token ids in a session of rows. */
  asTokens?: true;
  payload: Uint8Array;
}

/** A draft that a verdict has judged. */
export interface JudgedDraft {
  entry: LedgerEntry;
  isRight: boolean;
}

/** What a verdict or a rewind did. */
export type LedgerChange =
  | { kind: 'ignored' }
  | { kind: 'confirmed'; tokens: number; judged: JudgedDraft[] }
  /** `adopted`: tokens of a branch that had foreseen the cloud's choice, and are drafts now. */
  | { kind: 'rolled-back'; length: number; dropped: number; adopted: number; judged: JudgedDraft[] };
