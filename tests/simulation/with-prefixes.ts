import { PREFIX_BLOCK_TOKENS } from '@tandem/shared';
import type { Fault } from './faults.js';
import { CONTEXT_LENGTH, mix, SPACE, VOCABULARY } from './hash-chain.js';
import type { ClientPlan, PrefixPlan, Scenario, Turn } from './scenario.js';
import { Dice } from './sim-random.js';

const STREAM = 0x70726566;
const CHANCE = 0.15;
/** Who comes when others have been there may begin with what they left. */
const LATE_CLIENTS_MAX = 3;
const LATE_MS_MAX = 5_000;
const LATE_TURNS_MAX = 2;

/** In some scenarios clients begin with the same blocks, or with some of them; servers have room for two or three such contexts, or less than one. */
export function withPrefixes(scenario: Scenario): Scenario {
  const dice = new Dice(mix(scenario.seed, STREAM));
  if (!dice.chance(CHANCE)) return scenario;
  const common = drawTokens(dice, dice.integer(1, 2) * PREFIX_BLOCK_TOKENS + dice.integer(0, 20));
  const late = Array.from({ length: dice.integer(1, LATE_CLIENTS_MAX) }, () => drawLate(dice, scenario.clients));
  const clients = [...scenario.clients, ...late].map((plan) => withPrefix(dice, plan, common));
  return {
    ...scenario,
    faults: scenario.faults.map((fault) => aimed(dice, fault, clients.length)),
    server: { ...scenario.server, contextBudgetBytes: dice.pick([Number.MAX_SAFE_INTEGER, 6_000, 1_200]) },
    clients: clients.map((plan) => {
      const other = plan.tabOf === undefined ? undefined : clients[plan.tabOf];
      return other?.prefix ? { ...plan, options: other.options, prefix: other.prefix } : plan;
    }),
  };
}

function drawLate(dice: Dice, others: readonly ClientPlan[]): ClientPlan {
  const plan = dice.pick(others);
  const turns = plan.turns.slice(-dice.integer(1, LATE_TURNS_MAX));
  return { ...plan, startMs: dice.integer(200, LATE_MS_MAX), tabOf: undefined, turns };
}

/** Late clients get their share of the faults. */
function aimed(dice: Dice, fault: Fault, clients: number): Fault {
  return 'client' in fault && dice.chance(0.5) ? { ...fault, client: dice.integer(0, clients - 1) } : fault;
}

function withPrefix(dice: Dice, plan: ClientPlan, common: number[]): ClientPlan {
  const prefix: PrefixPlan = { tokens: drawPrefix(dice, common), isPrimed: dice.chance(0.5) };
  const capacity = dice.pick([CONTEXT_LENGTH, CONTEXT_LENGTH, 200, 100]);
  const promptAs = dice.pick(['auto', 'rows', 'rows', 'tokens'] as const);
  return {
    ...plan,
    options: { ...plan.options, capacity, promptAs },
    prefix,
    turns: plan.turns.map((turn): Turn => ({ ...turn, prefixTokens: drawShare(dice, prefix.tokens.length) })),
  };
}

/** All of what is common, or its first block and something else, or something else. */
function drawPrefix(dice: Dice, common: number[]): number[] {
  const kind = dice.integer(0, 9);
  if (kind < 7) return common;
  const own = drawTokens(dice, PREFIX_BLOCK_TOKENS + dice.integer(0, 10));
  return kind < 9 ? [...common.slice(0, PREFIX_BLOCK_TOKENS), ...own] : own;
}

/** Most texts begin with what was declared; others break off in it, or begin otherwise. */
function drawShare(dice: Dice, length: number): number {
  const kind = dice.integer(0, 9);
  if (kind < 6) return length;
  return kind < 9 ? dice.integer(1, length) : 0;
}

function drawTokens(dice: Dice, count: number): number[] {
  return Array.from({ length: count }, () => dice.integer(SPACE, VOCABULARY - 1));
}
