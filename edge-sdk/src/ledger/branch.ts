import type { LedgerEntry } from './ledger-entry.js';
import type { LineMark } from './ledger-types.js';
import { RowStore } from './row-store.js';

/**
 * Another continuation of the text, drafted while the verdict on the main one is out: at one position it has the token
 * that came second. Its entries and rows are kept aside; the ledger takes them over if the cloud decides for that token.
 */
export class Branch {
  readonly mark: LineMark;
  /** Position of its first token. */
  readonly at: number;
  /** `entries[i]` is the token at `at + i`. */
  readonly entries: LedgerEntry[];
  /** Row `i` at the cut is that of position `at + i`. */
  readonly rows: RowStore;
  /** As in the ledger: positions that the device's stages were given. */
  fed: number;

  constructor(at: number, first: LedgerEntry, bytesPerRow: number) {
    this.mark = { sharedTo: at, revision: 0 };
    this.at = at;
    this.entries = [first];
    this.rows = new RowStore(bytesPerRow);
    this.fed = at;
  }

  get length(): number {
    return this.at + this.entries.length;
  }

  /** The chance that all its drafts are right, if its first token is. */
  get chance(): number {
    return this.entries.slice(1).reduce((chance, { probability }) => chance * probability, 1);
  }

  feed(end: number): { from: number; tokens: Int32Array } {
    const from = this.fed;
    this.fed = Math.max(from, end);
    return { from, tokens: Int32Array.from(this.entries.slice(from - this.at, end - this.at), ({ token }) => token) };
  }
}
