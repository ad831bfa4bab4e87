import { type Random, seededRandom } from '@tandem/shared';
import { mix } from './hash-chain.js';

/** Draws for scenarios, on top of one seeded stream. */
export class Dice {
  readonly random: Random;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** Uniform in `[min, max)`. */
  between(min: number, max: number): number {
    return min + this.random.next() * (max - min);
  }

  /** Uniform integer in `[min, max]`. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.random.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[Math.floor(this.random.next() * values.length)]!;
  }
}

/** Seed `index` of a run: `base` is a hexadecimal text of any length, such as a commit hash. */
export function seedOf(base: string, index: number): number {
  let hash = 0x811c9dc5;
  for (const character of base.toLowerCase()) hash = mix(hash, character.charCodeAt(0));
  return mix(hash, index);
}
