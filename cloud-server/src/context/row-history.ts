import { assert, type EngineInput } from '@tandem/shared';

const ROWS_MIN = 16;
const TOKEN_BYTES = 4;

/**
 * What a session's client sent, from position 0 on, as it was received: encoded rows, or token ids. About one vector per
 * token, where the KV cache has two for every layer; with it a KV cache can be lost at any time and be computed again.
 *
 * A prompt of a session of rows may have come as token ids, of which an engine makes the rows: the history's head then.
 */
export class RowHistory {
  readonly #kind: EngineInput['kind'];
  readonly #bytesPerRow: number;
  #head = new Int32Array(0);
  #bytes = new Uint8Array(0);
  /** Rows behind the head. */
  #count = 0;

  /** `bytesPerRow`: of an encoded row; undefined for token ids. */
  constructor(bytesPerRow: number | undefined) {
    this.#kind = bytesPerRow === undefined ? 'tokens' : 'encoded-rows';
    this.#bytesPerRow = bytesPerRow ?? TOKEN_BYTES;
  }

  /** Rows held. */
  get length(): number {
    return this.#head.length + this.#count;
  }

  /** Rows that came as token ids and can only be run together. */
  get headLength(): number {
    return this.#head.length;
  }

  /** Memory taken. */
  get bytes(): number {
    return this.#head.byteLength + this.#bytes.length;
  }

  append(input: EngineInput): void {
    if (input.kind === 'tokens' && this.#kind === 'encoded-rows') {
      assert(this.length === 0, 'token ids stand at the beginning of rows only');
      this.#head = input.tokens.slice();
      return;
    }
    assert(input.kind === this.#kind, `${input.kind} in a history of ${this.#kind}`);
    const added = input.kind === 'tokens' ? bytesOf(input.tokens) : input.bytes;
    const start = this.#count * this.#bytesPerRow;
    this.#reserve(start + added.length);
    this.#bytes.set(added, start);
    this.#count += added.length / this.#bytesPerRow;
  }

  /** Takes over the first `length` rows of another history of the same kind; this one is empty. */
  appendFrom(other: RowHistory, length: number): void {
    const head = other.#head.subarray(0, length);
    if (head.length > 0) this.append({ kind: 'tokens', tokens: head });
    if (length > head.length) this.append(other.input(head.length, length));
  }

  /** Rows `[from, to)` as an engine takes them: a copy, since this memory moves when it grows. */
  input(from: number, to: number): EngineInput {
    const head = this.#head.length;
    if (from < head) {
      assert(from === 0 && to === head, `rows ${from} to ${to}, a head of ${head} is given whole`);
      return { kind: 'tokens', tokens: this.#head.slice() };
    }
    assert(to <= this.length, `rows ${from} to ${to} of ${this.length}`);
    const bytes = this.#bytes.slice((from - head) * this.#bytesPerRow, (to - head) * this.#bytesPerRow);
    if (this.#kind === 'encoded-rows') return { kind: 'encoded-rows', bytes };
    return { kind: 'tokens', tokens: new Int32Array(bytes.buffer) };
  }

  /** Forgets rows from `length` on, and zeroes them. */
  truncate(length: number): void {
    if (length >= this.length) return;
    const count = Math.max(0, length - this.#head.length);
    this.#bytes.fill(0, count * this.#bytesPerRow, this.#count * this.#bytesPerRow);
    this.#count = count;
    if (length >= this.#head.length) return;
    const head = this.#head;
    this.#head = head.slice(0, length);
    head.fill(0);
  }

  /** Gives back what was taken in advance. */
  trim(): void {
    this.#move(this.#count * this.#bytesPerRow);
  }

  /** Zeroes everything and gives it back. */
  clear(): void {
    this.truncate(0);
    this.#bytes = new Uint8Array(0);
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    this.#move(Math.max(bytes, 2 * this.#bytes.length, ROWS_MIN * this.#bytesPerRow));
  }

  #move(bytes: number): void {
    if (bytes === this.#bytes.length) return;
    const old = this.#bytes;
    this.#bytes = new Uint8Array(bytes);
    this.#bytes.set(old.subarray(0, this.#count * this.#bytesPerRow));
    old.fill(0);
  }
}

function bytesOf(tokens: Int32Array): Uint8Array {
  return new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
}
