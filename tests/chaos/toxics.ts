import type { LinkProfile, LinkProxy } from '@tandem/netsim';
import type { Dice } from '../simulation/sim-random.js';

/** What a fault does to the connection of one client. `breaks`: it cannot survive it. */
export interface Toxic {
  name: string;
  weight: number;
  breaks: boolean;
  apply(proxy: LinkProxy, dice: Dice): void;
}

const CALM: LinkProfile = {};
const NARROW: LinkProfile = { upBytesPerS: 8_000, downBytesPerS: 8_000 };
const FAR: LinkProfile = { rttMs: 80, jitterMs: 40 };

/** Messages that are cut in their midst. */
const NAMED = {
  up: ['session-open', 'context-forward'],
  down: ['session-opened', 'verdict', 'credit'],
} as const;

export const TOXICS: readonly Toxic[] = [
  { name: 'reset', weight: 4, breaks: true, apply: (proxy) => proxy.cut() },
  { name: 'fin', weight: 2, breaks: true, apply: (proxy) => proxy.finish() },
  { name: 'flip-up', weight: 2, breaks: true, apply: (proxy) => proxy.flipNext('up') },
  { name: 'flip-down', weight: 2, breaks: true, apply: (proxy) => proxy.flipNext('down') },
  {
    name: 'cut-after-bytes',
    weight: 3,
    breaks: true,
    apply(proxy, dice) {
      const direction = dice.pick(['up', 'down'] as const);
      proxy.setProfile({ cuts: [{ afterBytes: dice.integer(1, 400), direction }] });
    },
  },
  {
    name: 'cut-in-frame',
    weight: 4,
    breaks: true,
    apply(proxy, dice) {
      const direction = dice.pick(['up', 'down'] as const);
      proxy.cutInFrame(direction, { kind: dice.pick(NAMED[direction]), part: dice.random.next() });
    },
  },
  // Seldom: by design nobody notices for SILENCE_TIMEOUT_MS.
  { name: 'half-open', weight: 0.05, breaks: true, apply: (proxy) => proxy.silence() },
  { name: 'stall', weight: 4, breaks: false, apply: (proxy, dice) => proxy.stall(dice.integer(10, 300)) },
  {
    name: 'slice',
    weight: 4,
    breaks: false,
    apply: (proxy, dice) => proxy.sliceNext(dice.pick(['up', 'down']), dice.integer(1, 7)),
  },
  { name: 'narrow', weight: 2, breaks: false, apply: (proxy) => proxy.setProfile(NARROW) },
  { name: 'far', weight: 2, breaks: false, apply: (proxy) => proxy.setProfile(FAR) },
  { name: 'calm', weight: 3, breaks: false, apply: (proxy) => proxy.setProfile(CALM) },
];

export function drawToxic(dice: Dice): Toxic {
  const total = TOXICS.reduce((sum, { weight }) => sum + weight, 0);
  let left = dice.between(0, total);
  for (const toxic of TOXICS) {
    left -= toxic.weight;
    if (left < 0) return toxic;
  }
  return TOXICS[0]!;
}
