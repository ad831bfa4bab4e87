import type { Fault } from './faults.js';
import { FORGETTING } from './hand-off-oracle.js';
import { mix } from './hash-chain.js';
import type { ClientPlan, LargerModelPlan, Scenario } from './scenario.js';
import { Dice } from './sim-random.js';

const STREAM = 0x6c617267;
const CHANCE = 0.1;
const MISHAPS_MAX = 3;
const LOSSES_MAX = 4;
const MISHAP_WINDOW_MS = 5_000;

/** In some scenarios a larger model writes where the small one is unsure, in sessions that allow it. */
export function withLargerModel(scenario: Scenario): Scenario {
  const dice = new Dice(mix(scenario.seed, STREAM));
  if (!dice.chance(CHANCE)) return scenario;
  const plain = { ...scenario, server: { ...scenario.server, largerModel: drawPlan(dice) } };
  return dice.chance(0.5) ? withMishaps(dice, withConsent(dice, plain)) : calm(withConsent(dice, plain));
}

/** A server that forgets nothing, and no exit that settles tokens: every passage has one right place. */
function calm(scenario: Scenario): Scenario {
  return {
    ...scenario,
    server: { ...scenario.server, sessionsMax: 8, resumeWindowMs: 120_000, hasResumeTokens: false },
    clients: scenario.clients.map((plan) => {
      const mode = plan.options.mode === 'collaborative' ? 'exact' : plan.options.mode;
      return { ...plan, tabOf: undefined, options: { ...plan.options, mode, onCloudUnavailable: 'wait' } };
    }),
    faults: scenario.faults.filter(({ kind }) => !FORGETTING.has(kind)),
  };
}

function withMishaps(dice: Dice, scenario: Scenario): Scenario {
  const mishaps = Array.from({ length: dice.integer(0, MISHAPS_MAX) }, () => drawMishap(dice, scenario.servers));
  return { ...scenario, faults: byTime([...scenario.faults, ...mishaps]) };
}

function withConsent(dice: Dice, scenario: Scenario): Scenario {
  const clients = scenario.clients.map((plan) => (dice.chance(0.8) ? allowing(dice, plan) : plan));
  const losses = Array.from({ length: dice.integer(0, LOSSES_MAX) }, () => drawLoss(dice, clients.length));
  return {
    ...scenario,
    clients: clients.map((plan) =>
      plan.tabOf === undefined ? plan : { ...plan, options: clients[plan.tabOf]!.options },
    ),
    faults: byTime([...scenario.faults, ...losses]),
  };
}

function byTime(faults: Fault[]): Fault[] {
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** Long texts, of which many are alike in all but their tokens: what is left of one must not get into the next. */
function allowing(dice: Dice, plan: ClientPlan): ClientPlan {
  const temperature = dice.chance(0.5) ? 0 : 0.8;
  const turns = plan.turns.map((turn) => ({
    ...turn,
    maxOutputTokens: 2 * turn.maxOutputTokens,
    temperature,
    seed: turn.seed % 2,
  }));
  return { ...plan, turns, options: { ...plan.options, largerModel: 'allow' } };
}

/** Entropies of the hash chain lie between 0.4 and 1.6, half of them between 0.6 and 1.2. */
function drawPlan(dice: Dice): LargerModelPlan {
  const ceiling = dice.between(0.5, 1.1);
  return {
    window: dice.integer(1, 4),
    patience: dice.integer(1, 2),
    ceiling,
    floor: ceiling - dice.between(0, 0.4),
    tokensMax: dice.pick([3, 12, 24, 64]),
    timeoutMs: dice.pick([2_000, 5_000]),
    pieceMs: dice.pick([0, 5, 50]),
  };
}

function drawLoss(dice: Dice, clients: number): Fault {
  return { atMs: dice.integer(0, MISHAP_WINDOW_MS), kind: 'passage-lost', client: dice.integer(0, clients - 1) };
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
