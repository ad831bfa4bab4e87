import type { Fault } from './faults.js';
import { mix } from './hash-chain.js';
import type { LargerModelPlan, Scenario } from './scenario.js';
import { Dice } from './sim-random.js';

const STREAM = 0x6c617267;
const CHANCE = 0.2;
/** Half of the scenarios with a larger model have one that fails now and then. */
const MISHAPS_MAX = 3;
const MISHAP_WINDOW_MS = 5_000;

/** In some scenarios a larger model writes where the small one is unsure, in sessions that allow it. */
export function withLargerModel(scenario: Scenario): Scenario {
  const dice = new Dice(mix(scenario.seed, STREAM));
  if (!dice.chance(CHANCE)) return scenario;
  const server = { ...scenario.server, largerModel: drawPlan(dice) };
  const clients = scenario.clients.map((plan) => {
    const isAllowed = dice.chance(0.8);
    return isAllowed ? { ...plan, options: { ...plan.options, largerModel: 'allow' as const } } : plan;
  });
  const mishaps = dice.chance(0.5) ? dice.integer(1, MISHAPS_MAX) : 0;
  const faults = [...scenario.faults, ...Array.from({ length: mishaps }, () => drawMishap(dice, scenario.servers))];
  return {
    ...scenario,
    server,
    clients: clients.map((plan) => (plan.tabOf === undefined ? plan : { ...plan, options: clients[plan.tabOf]!.options })),
    faults: faults.sort((a, b) => a.atMs - b.atMs),
  };
}

/** Entropies of the hash chain lie between 0.4 and 1.6, half of them between 0.6 and 1.2. */
function drawPlan(dice: Dice): LargerModelPlan {
  const ceiling = dice.between(0.6, 1.3);
  return {
    window: dice.integer(1, 4),
    patience: dice.integer(1, 2),
    ceiling,
    floor: ceiling - dice.between(0, 0.4),
    tokensMax: dice.pick([3, 12, 24, 64]),
    timeoutMs: dice.pick([500, 2_000]),
    pieceMs: dice.pick([0, 5, 50]),
  };
}

function drawMishap(dice: Dice, servers: number): Fault {
  return {
    atMs: dice.integer(0, MISHAP_WINDOW_MS),
    kind: 'larger-model',
    server: dice.integer(0, servers - 1),
    how: dice.pick(['unreachable', 'broken-off', 'hangs', 'late'] as const),
    completions: dice.integer(1, 3),
  };
}
