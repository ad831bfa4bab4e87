import { smooth } from './smooth.js';

/** How long device steps take: smoothed, so that one slow step of a busy machine counts little. */
export class StepTimes {
  /** `#ms[depth]`: the stages from the exit before up to the one at `depth`. */
  readonly #ms: (number | undefined)[] = [];
  #draftMs: number | undefined;
  #prefillMsPerRow: number | undefined;

  stepped(depth: number, ms: number): void {
    this.#ms[depth] = smooth(this.#ms[depth], ms);
  }

  /** Rows of a prompt, all device stages. */
  prefilled(rows: number, ms: number): void {
    this.#prefillMsPerRow = smooth(this.#prefillMsPerRow, ms / rows);
  }

  /** 0 before the first prompt. */
  get prefillMsPerRow(): number {
    return this.#prefillMsPerRow ?? 0;
  }

  drafted(ms: number): void {
    this.#draftMs = smooth(this.#draftMs, ms);
  }

  /** One draft, however many stages it took; 0 before the first. */
  get draftMs(): number {
    return this.#draftMs ?? 0;
  }

  /** All stages behind the exit at `depth`; 0 while none was measured. */
  deeperMs(depth: number): number {
    return this.#ms.slice(depth + 1).reduce<number>((sum, ms) => sum + (ms ?? 0), 0);
  }
}
