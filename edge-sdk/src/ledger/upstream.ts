import { encodeTokenIds, HEADER_BYTES } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';
import type { RowStore } from './row-store.js';

/** How the context goes up: as encoded rows at the cut, or as token ids. */
export type UpstreamKind = { vocabularySize: number } & ({ kind: 'rows'; bytesPerRow: number } | { kind: 'tokens' });

/** What of the context goes up next, and as what. */
export class Upstream {
  readonly kind: UpstreamKind;
  /**
   * Rows `[0, tokensTo)` went up as token ids, and will again: the server's rows differ from the device's in the last
   * place where their processors differ, and a context that is sent again has to be the same.
   */
  #tokensTo = 0;

  constructor(kind: UpstreamKind) {
    this.kind = kind;
  }

  /** Bytes that the device keeps of a row at the cut: none where token ids go up. */
  get bytesPerRow(): number {
    return this.kind.kind === 'rows' ? this.kind.bytesPerRow : 0;
  }

  /** How many of the rows `[from, to)` go up next. A prompt from position 0 on may go up as token ids, if `mayBeTokens`. */
  next(from: number, to: number, promptLength: number, mayBeTokens: boolean): { to: number; asTokens: boolean } {
    const { kind } = this.kind;
    if (kind === 'rows' && from === 0 && this.#tokensTo === 0 && mayBeTokens) {
      this.#tokensTo = Math.min(to, promptLength, limits.FORWARD_ROWS_MAX);
    }
    if (from === 0 && this.#tokensTo > 0) return { to: Math.min(to, this.#tokensTo), asTokens: true };
    return { to: Math.min(to, from + this.#rowsPerForwardMax), asTokens: false };
  }

  payload(tokens: readonly number[], rows: RowStore, from: number, to: number, asTokens: boolean): Uint8Array {
    if (this.kind.kind === 'rows' && !asTokens) return rows.copy(from, to);
    return encodeTokenIds(tokens.slice(from, to), this.kind.vocabularySize);
  }

  truncate(length: number): void {
    this.#tokensTo = Math.min(this.#tokensTo, length);
  }

  /** Wide rows fill a frame before they reach the limit on rows. */
  get #rowsPerForwardMax(): number {
    if (this.kind.kind === 'tokens') return limits.FORWARD_ROWS_MAX;
    const payloadBytesMax = limits.FRAME_BYTES_MAX - limits.CONTROL_BYTES_MAX - HEADER_BYTES;
    return Math.min(limits.FORWARD_ROWS_MAX, Math.floor(payloadBytesMax / this.kind.bytesPerRow));
  }
}
