import { mix } from './hash-chain.js';

/** A scenario has a few hundred. Two sides that answer each other without end in a moment are a failure like any other. */
const EVENTS_MAX = 200_000;

/** What happened, as one number: two runs of a seed must give the same. Can keep it in words, too. */
export class Trace {
  readonly lines: string[] | undefined;
  #hash = 0x1234;
  events = 0;

  constructor(keepsLines: boolean) {
    this.lines = keepsLines ? [] : undefined;
  }

  get isFull(): boolean {
    return this.events >= EVENTS_MAX;
  }

  get hash(): number {
    return this.#hash;
  }

  add(atMs: number, who: number, what: string, ...figures: number[]): void {
    if (this.isFull) throw new Error(`more than ${EVENTS_MAX} events by ${atMs} ms`);
    this.events++;
    // Times are fractions of milliseconds: their first six digits behind the point are enough to tell runs apart.
    this.#hash = mix(mix(this.#hash, Math.round(atMs * 1e6) | 0), who);
    for (let i = 0; i < what.length; i++) this.#hash = mix(this.#hash, what.charCodeAt(i));
    for (const figure of figures) this.#hash = mix(this.#hash, figure | 0);
    this.lines?.push(`${atMs.toFixed(3).padStart(10)}  ${who < 0 ? ' ' : who}  ${what} ${figures.join(' ')}`);
  }
}
