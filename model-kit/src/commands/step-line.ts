import type { Clock } from '@tandem/shared';
import type { ProgressOutput } from './progress-line.js';

/** A terminal need not be written to more often. */
const INTERVAL_MS = 100;

/** Where a long run is: step, share done and time left of the step, on one line that is written over. */
export class StepLine {
  readonly #output: ProgressOutput;
  readonly #clock: Clock;
  #step = '';
  #startMs = 0;
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(output: ProgressOutput, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  show(step: string, done: number, total: number): void {
    const nowMs = this.#clock.now();
    if (step !== this.#step) {
      this.#step = step;
      this.#startMs = nowMs;
    }
    if (!this.#output.isTTY) {
      if (done === total) this.#output.write(`${step} ${total}/${total}\n`);
      return;
    }
    if (nowMs - this.#shownMs < INTERVAL_MS && done !== total) return;
    this.#shownMs = nowMs;
    const leftS = Math.ceil((((nowMs - this.#startMs) / done) * (total - done)) / 1000);
    const left = done === total ? '\n' : `, ${leftS} s left`;
    this.#output.write(`\r\u001b[K${step} ${done}/${total}${left}`);
  }
}
