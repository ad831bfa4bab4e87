import type { Ledger } from '../ledger/ledger.js';
import type { LineMark } from '../ledger/ledger-types.js';

/**
 * Which line of the ledger the device's stages hold, and where to exchange tails so that they hold another one. The
 * stages keep one other continuation aside, from the last exchange on.
 */
export class LineSwitch {
  readonly #ledger: Ledger;
  #held: LineMark;
  /** Where the held line and the one aside part. */
  #fork = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#held = ledger.main;
  }

  /** The exchanges that lead to `line`, in order; from now on the stages hold it. `at`: where a branch begins. */
  to(line: LineMark, at: number): number[] {
    const { main, branch, fed } = this.#ledger;
    const places: number[] = [];
    if (this.#held !== line && this.#held !== main) {
      // Back to the main line first. If it was rolled back to the fork meanwhile, there is nothing left to fetch.
      if (this.#held === branch?.mark || fed > this.#fork) places.push(this.#fork);
      this.#held = main;
    }
    if (this.#held !== line) {
      places.push(at);
      this.#fork = at;
      this.#held = line;
    }
    return places;
  }
}
