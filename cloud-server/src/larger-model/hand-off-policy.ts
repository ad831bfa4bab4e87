/**
 * When a text goes to the larger model and when it comes back: Entropy Adaptive Decoding (Simonds 2025, arXiv
 * 2502.06833), a rolling mean of the small model's entropy. Pure; entropies are in nats, of consecutive rows, the last
 * one at the end.
 */
export interface HandOffPolicy {
  /** How many of the latest entropies it looks at. */
  readonly span: number;
  /** `entropies`: of the small model, from the first row behind the prompt or behind the last passage on. */
  handsOver(entropies: readonly number[]): boolean;
  /** `entropies`: of the rows of the passage so far, as the small model reads what the larger one wrote. */
  handsBack(entropies: readonly number[]): boolean;
}

export interface RollingEntropyOptions {
  /** Rows that a mean is taken over. */
  window: number;
  /** The text goes over when the mean has been at least this for `patience` rows in a row. */
  ceiling: number;
  patience: number;
  /** It comes back when the mean over the passage's last rows is at most this. Below `ceiling`: else it would flap. */
  floor: number;
}

export const ROLLING_ENTROPY_DEFAULTS = { window: 8, patience: 2 } as const;

export function rollingEntropyHandOff({ window, ceiling, patience, floor }: RollingEntropyOptions): HandOffPolicy {
  return {
    span: window + patience - 1,
    handsOver(entropies) {
      if (entropies.length < window + patience - 1) return false;
      for (let end = entropies.length; end > entropies.length - patience; end--) {
        if (mean(entropies.slice(end - window, end)) < ceiling) return false;
      }
      return true;
    },
    handsBack: (entropies) => entropies.length >= window && mean(entropies.slice(-window)) <= floor,
  };
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
