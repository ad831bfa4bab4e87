import type { StageOutput } from './stage.js';

export interface StageCallParts {
  /** `(count, stride)`, with a stride of 1 for token ids. */
  data: Int32Array | Float32Array;
  stride: number;
  count: number;
  /** Ascending offsets into the call. */
  wanted: Int32Array;
  /** Length of the stage before. */
  start: number;
}

/** A checked forward of a stage on its way: which of its rows have run, and what they gave. */
export class StageCall {
  readonly start: number;
  readonly #parts: StageCallParts;
  readonly #outputs: StageOutput[] = [];
  #ran = 0;

  constructor(parts: StageCallParts) {
    this.start = parts.start;
    this.#parts = parts;
  }

  /** Rows that have not run. */
  get rest(): number {
    return this.#parts.count - this.#ran;
  }

  /** Of the first `count` of those: a view. */
  next(count: number): Int32Array | Float32Array {
    const { data, stride } = this.#parts;
    return data.subarray(this.#ran * stride, (this.#ran + count) * stride);
  }

  /** Which of them are wanted, counted from the first of them. */
  wantedOf(count: number): Int32Array {
    const { wanted } = this.#parts;
    return wanted
      .filter((offset) => offset >= this.#ran && offset < this.#ran + count)
      .map((offset) => offset - this.#ran);
  }

  take(output: StageOutput, count: number): void {
    this.#outputs.push(output);
    this.#ran += count;
  }

  get output(): StageOutput {
    const [first] = this.#outputs;
    if (first && this.#outputs.length === 1) return first;
    return {
      rows: join(this.#outputs.map(({ rows }) => rows)),
      logits: join(this.#outputs.map(({ logits }) => logits)),
    };
  }
}

function join(parts: Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
