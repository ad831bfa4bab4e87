import { assert, type Stage, type StageInput, type StageOutput, type StageTail, TandemError } from '@tandem/shared';

/**
 * A stage whose rows are hashes of everything before them: a missing, repeated or regrouped row changes all that
 * follow. Its KV cache is the list of states. `(width)` numbers per row, `width` logits.
 */
export class HashStage implements Stage {
  readonly capacity: number;
  readonly width: number;
  /** Length of every forward so far, to see what was batched. */
  readonly forwards: number[] = [];
  /** Throws once in the next forward. */
  failsNext = false;
  isDisposed = false;
  readonly #salt: number;
  #states: number[] = [];

  constructor(salt: number, width: number, capacity = 1_000) {
    this.#salt = salt;
    this.width = width;
    this.capacity = capacity;
  }

  get length(): number {
    return this.#states.length;
  }

  async forward(input: StageInput, wanted: Int32Array): Promise<StageOutput> {
    const rows = this.#split(input);
    if (this.length + rows.length > this.capacity) throw new TandemError('CONTEXT_TOO_LONG', 'full');
    assert(
      wanted.every((offset) => offset >= 0 && offset < rows.length),
      `wanted ${wanted} of ${rows.length} rows`,
    );
    await Promise.resolve();
    if (this.failsNext) {
      this.failsNext = false;
      throw new TandemError('ENGINE_FAILED', 'as asked');
    }
    this.forwards.push(rows.length);
    const output = rows.map((row) => this.#next(row));
    const logits = Array.from(wanted, (offset) => output[offset]!.map((value) => Math.cos(37 * value)));
    return { rows: Float32Array.from(output.flat()), logits: Float32Array.from(logits.flat()) };
  }

  truncate(length: number): void {
    assert(length >= 0 && length <= this.length, `truncate to ${length} of ${this.length}`);
    this.#states.length = length;
  }

  copyTail(from: number): StageTail {
    const states = this.#states.slice(from);
    return { from, count: states.length, keys: [Float32Array.from(states)], values: [] };
  }

  appendTail({ from, keys }: StageTail): void {
    assert(from === this.length, `a tail from ${from} behind ${this.length}`);
    this.#states.push(...keys[0]!);
  }

  dispose(): void {
    this.isDisposed = true;
    this.#states = [];
  }

  #split(input: StageInput): number[][] {
    if (input.kind === 'tokens') return [...input.tokens].map((token) => [token]);
    const count = input.rows.length / this.width;
    return Array.from({ length: count }, (_, i) => [...input.rows.subarray(i * this.width, (i + 1) * this.width)]);
  }

  #next(row: number[]): number[] {
    let state = this.#states.at(-1) ?? this.#salt;
    for (const value of row) state = Math.fround(Math.sin(state * 12.9898 + value * 78.233 + this.#salt) * 43.5453);
    this.#states.push(state);
    return Array.from({ length: this.width }, (_, i) => Math.sin(state * (i + 1)));
  }
}
