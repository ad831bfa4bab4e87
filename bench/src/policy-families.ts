import {
  allOf,
  anyOf,
  decaying,
  type ExitPolicy,
  entropy,
  latencyAware,
  margin,
  maxProbability,
  patience,
  rollingEntropy,
  saturation,
} from '@tandem/edge';

/** A policy with one number to turn, from strict to lenient. */
export interface PolicyFamily {
  name: string;
  source: string;
  settings: readonly number[];
  make(setting: number): ExitPolicy;
}

const SETTINGS = 48;
/** Closer together where policies are strict: `1 − x²` from 1 down to 0. */
const FLOORS = Array.from({ length: SETTINGS }, (_, i) => 1 - (i / (SETTINGS - 1)) ** 2);
/** Nats, from nothing to more than any exit ever has. */
const CEILINGS = Array.from({ length: SETTINGS }, (_, i) => 0.005 * 1_600 ** (i / (SETTINGS - 1)));
const COSINES = Array.from({ length: SETTINGS }, (_, i) => 1 - (i / (SETTINGS - 1)) ** 2);
/** The texts' usual length. */
const DECAY_TOKENS = 100;

/** What the SDK has, with one threshold for all exits. The calibrated one is apart: its thresholds come from other texts. */
export const POLICY_FAMILIES: readonly PolicyFamily[] = [
  { name: 'max probability', source: 'CE-CoLLM, 2024', settings: FLOORS, make: maxProbability },
  { name: 'margin', source: 'CALM, Schuster et al. 2022', settings: FLOORS, make: margin },
  { name: 'entropy', source: 'BranchyNet, Teerapittayanon et al. 2016', settings: CEILINGS, make: entropy },
  {
    name: 'rolling entropy over 4',
    source: 'Entropy Adaptive Decoding, Simonds 2025',
    settings: CEILINGS,
    make: (ceiling) => rollingEntropy(ceiling, 4),
  },
  { name: 'saturation', source: 'CALM, Schuster et al. 2022', settings: COSINES, make: saturation },
  { name: 'patience 2', source: 'PABEE, Zhou et al. 2020', settings: [2], make: patience },
  {
    name: 'decaying max probability',
    source: 'CALM, Schuster et al. 2022',
    settings: FLOORS,
    make: (threshold) => decaying(maxProbability, { threshold, length: DECAY_TOKENS }),
  },
  {
    name: 'latency-aware margin, 50 ms',
    source: 'after SPINN, Laskaridis et al. 2020',
    settings: FLOORS,
    make: (lenient) => latencyAware(margin, { strict: (1 + lenient) / 2, lenient }),
  },
  {
    name: 'margin and patience 2',
    source: 'allOf',
    settings: FLOORS,
    make: (floor) => allOf(patience(2), margin(floor)),
  },
  {
    name: 'margin, or half of it and patience 2',
    source: 'anyOf, allOf',
    settings: FLOORS,
    make: (floor) => anyOf(margin(floor), allOf(patience(2), margin(floor / 2))),
  },
];
