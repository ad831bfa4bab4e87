import { PREFIX_BLOCK_TOKENS } from '@tandem/shared';
import type { Ledger } from '../ledger/ledger.js';

/**
 * The beginning that a session shares with others of the same tenant, a system prompt for example. The server may have its
 * rows from another session: then they need not go up. The device runs these tokens itself all the same and keeps
 * its own rows, so a server that loses them gets them like any others.
 */
export class SharedPrefix {
  readonly hashes: readonly string[];
  /** Of the hashed blocks. */
  readonly #tokens: readonly number[];
  /** Rows of it that stand at the beginning of the server's copy of this session. */
  #heldRows = 0;

  constructor(hashes: readonly string[], tokens: readonly number[]) {
    this.hashes = hashes;
    this.#tokens = tokens.slice(0, hashes.length * PREFIX_BLOCK_TOKENS);
  }

  /** A new connection: what the server says that it has. */
  opened(heldRows: number | undefined): void {
    this.#heldRows = Math.min(heldRows ?? 0, this.#tokens.length);
  }

  /** Rows of the ledger's text that the server holds in this way; the last row of a prompt always has to run. */
  rowsAhead(ledger: Ledger): number {
    const end = Math.min(this.#heldRows, ledger.promptLength - 1);
    let rows = 0;
    while (rows < end && ledger.tokenAt(rows) === this.#tokens[rows]) rows++;
    return rows;
  }

  /** Rows from `from` on are replaced on the server, or it has lost them. */
  replaced(from: number): void {
    this.#heldRows = Math.min(this.#heldRows, from);
  }

  /** What a forward of rows `[from, to)` may say of itself: with it the server has all blocks that the text begins with. */
  claim(ledger: Ledger, from: number, to: number): { prefix?: number } {
    let rows = 0;
    while (rows < this.#tokens.length && ledger.tokenAt(rows) === this.#tokens[rows]) rows++;
    const blocks = Math.floor(Math.min(rows, to) / PREFIX_BLOCK_TOKENS);
    return blocks > 0 && from < blocks * PREFIX_BLOCK_TOKENS ? { prefix: blocks } : {};
  }
}
