import { assert } from '@tandem/shared';

const ROWS_MIN = 64;

/**
 * The encoded rows at the cut, in order, from position 0 on: the exact bytes that were sent or will be.
 * They are never encoded again, so the cloud sees the same rows however often it loses them.
 */
export class RowStore {
  readonly #bytesPerRow: number;
  #bytes: Uint8Array;
  #length = 0;

  constructor(bytesPerRow: number) {
    this.#bytesPerRow = bytesPerRow;
    this.#bytes = new Uint8Array(ROWS_MIN * bytesPerRow);
  }

  /** Rows held. */
  get length(): number {
    return this.#length;
  }

  append(rows: Uint8Array): void {
    assert(rows.length % this.#bytesPerRow === 0, 'whole rows');
    const end = this.#length * this.#bytesPerRow;
    if (end + rows.length > this.#bytes.length) this.#grow(end + rows.length);
    this.#bytes.set(rows, end);
    this.#length += rows.length / this.#bytesPerRow;
  }

  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /** A copy of rows `[from, to)`: a transport keeps what it is given, and this store moves when it grows. */
  copy(from: number, to: number): Uint8Array {
    return this.#bytes.slice(from * this.#bytesPerRow, to * this.#bytesPerRow);
  }

  #grow(bytes: number): void {
    const larger = new Uint8Array(Math.max(bytes, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
