import { KINDS } from '@tandem/shared';
import { KIND_AT } from './stale-opener.js';

/** Waits for the next passage in order to lose it. */
export class PassageLoss {
  #isDue = false;

  plan(): void {
    this.#isDue = true;
  }

  takes(frame: Uint8Array): boolean {
    if (!this.#isDue || frame[KIND_AT] !== KINDS.passage) return false;
    this.#isDue = false;
    return true;
  }
}
