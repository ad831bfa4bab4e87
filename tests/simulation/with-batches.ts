import { mix } from './hash-chain.js';
import type { ClientPlan, Scenario } from './scenario.js';
import { Dice } from './sim-random.js';

const STREAM = 0x62617463;
const CHANCE = 0.15;
/** Steps meet in the queue where many wait for a slow engine. */
const MORE_CLIENTS_MAX = 4;

/** In some scenarios the server's engine runs the steps of several sessions as one, and some more clients keep it busy. */
export function withBatches(scenario: Scenario): Scenario {
  const dice = new Dice(mix(scenario.seed, STREAM));
  if (!dice.chance(CHANCE)) return scenario;
  const more = Array.from({ length: dice.integer(1, MORE_CLIENTS_MAX) }, (): ClientPlan => {
    const plan = dice.pick(scenario.clients);
    return { ...plan, startMs: dice.integer(0, 200), tabOf: undefined, turns: plan.turns.slice(-2) };
  });
  const stepMs = dice.pick([10, 20, 40]);
  const batchSlots = dice.integer(2, 4);
  return {
    ...scenario,
    server: { ...scenario.server, stepMs, batchSlots },
    clients: [...scenario.clients, ...more],
  };
}
