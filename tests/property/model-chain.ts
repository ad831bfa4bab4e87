import { rowOf } from './hash-model.js';

/** The device's stages in miniature: rows of what was fed, how many came to the cut, and one other continuation aside. */
export class ModelChain {
  readonly rows: number[] = [];
  #ranToCut = 0;
  #aside: { from: number; rows: number[]; ranToCut: number } | undefined;

  exchange(from: number): void {
    const incoming = this.#aside?.from === from ? this.#aside : { rows: [], ranToCut: from };
    const outgoing = { from, rows: this.rows.slice(from), ranToCut: Math.max(from, this.#ranToCut) };
    this.truncate(from);
    this.rows.push(...incoming.rows);
    if (incoming.ranToCut > from && this.#ranToCut < from)
      throw new Error(`the deeper stages lack rows before ${from}`);
    if (incoming.ranToCut > from) this.#ranToCut = incoming.ranToCut;
    this.#aside = outgoing;
  }

  feed(from: number, tokens: Iterable<number>): void {
    if (from > this.rows.length) throw new Error(`fed from ${from}, the stages hold ${this.rows.length}`);
    this.truncate(from);
    for (const token of tokens) this.rows.push(rowOf(this.rows.at(-1) ?? 0, token));
  }

  /** What newly comes out at the cut. */
  runToCut(): { rowsFrom: number; rows: number[] } {
    const rowsFrom = this.#ranToCut;
    this.#ranToCut = this.rows.length;
    return { rowsFrom, rows: this.rows.slice(rowsFrom) };
  }

  truncate(length: number): void {
    if (this.#aside && length < this.#aside.from) this.#aside = undefined;
    this.rows.length = Math.min(this.rows.length, length);
    this.#ranToCut = Math.min(this.#ranToCut, length);
  }
}
