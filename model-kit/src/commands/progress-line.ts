import type { Clock } from '@tandem/shared';
import { formatBytes } from './text.js';

/** Where the line is written; `process.stderr` is one. */
export interface ProgressOutput {
  isTTY?: boolean;
  write(text: string): unknown;
}

export interface ProgressState {
  label: string;
  doneBytes: number;
  totalBytes: number;
  file: string;
  filesDone: number;
}

/** A terminal need not be written to more often. */
const INTERVAL_MS = 100;
const BAR_CHARS = 24;

/** A bar with rate and time left that is written over, on a terminal; else one line per finished file. */
export class ProgressLine {
  readonly #output: ProgressOutput;
  readonly #clock: Clock;
  /** What was there when it began does not count for the rate. */
  #start: { ms: number; bytes: number } | undefined;
  #shownMs = -Infinity;
  #filesShown = 0;

  constructor(output: ProgressOutput, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  show(state: ProgressState): void {
    const nowMs = this.#clock.now();
    this.#start ??= { ms: nowMs, bytes: state.doneBytes };
    const isDone = state.doneBytes >= state.totalBytes;
    const isNewFile = state.filesDone > this.#filesShown;
    if (this.#output.isTTY) {
      if (nowMs - this.#shownMs < INTERVAL_MS && !isDone) return;
      this.#shownMs = nowMs;
      const isLast = isDone && isNewFile;
      this.#output.write(`\r\u001b[K${this.#bar(state)} ${this.#figures(state, nowMs)}${isLast ? '\n' : ''}`);
    } else if (isNewFile) {
      this.#output.write(`${state.label}, ${this.#figures(state, nowMs)}  ${state.file}\n`);
    }
    this.#filesShown = state.filesDone;
  }

  #bar({ doneBytes, totalBytes }: ProgressState): string {
    const filled = Math.floor((BAR_CHARS * doneBytes) / Math.max(1, totalBytes));
    return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CHARS - filled)}]`;
  }

  #figures({ doneBytes, totalBytes }: ProgressState, nowMs: number): string {
    const amount = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
    const seconds = (nowMs - this.#start!.ms) / 1000;
    const bytesPerS = (doneBytes - this.#start!.bytes) / seconds;
    if (seconds <= 0 || bytesPerS <= 0) return amount;
    return `${amount}, ${formatBytes(bytesPerS)}/s, ${formatSeconds((totalBytes - doneBytes) / bytesPerS)} left`;
  }
}

/** `75` → `1:15`. */
function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
