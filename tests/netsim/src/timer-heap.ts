export interface Timer {
  readonly atMs: number;
  /** Breaks ties: of two timers for the same time, the one that was scheduled first fires first. */
  readonly order: number;
  readonly callback: () => void;
}

/** A binary heap: simulations schedule millions of timers. */
export class TimerHeap {
  readonly #timers: Timer[] = [];

  peek(): Timer | undefined {
    return this.#timers[0];
  }

  push(timer: Timer): void {
    let position = this.#timers.push(timer) - 1;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!isBefore(timer, this.#timers[parent]!)) break;
      this.#timers[position] = this.#timers[parent]!;
      position = parent;
    }
    this.#timers[position] = timer;
  }

  /** Removes the first one. */
  pop(): void {
    const last = this.#timers.pop();
    if (!last || this.#timers.length === 0) return;
    let position = 0;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= this.#timers.length) break;
      const right = this.#timers[child + 1];
      if (right && isBefore(right, this.#timers[child]!)) child++;
      if (!isBefore(this.#timers[child]!, last)) break;
      this.#timers[position] = this.#timers[child]!;
      position = child;
    }
    this.#timers[position] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}
