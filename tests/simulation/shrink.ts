import { runWorld } from './run-seeds.js';
import type { Scenario } from './scenario.js';
import { World } from './world.js';

/** Runs that shrinking may take: each is milliseconds, and nobody wants to wait for the last percent. */
const RUNS_MAX = 2_000;

export interface Shrunk {
  scenario: Scenario;
  failure: string;
  lines: string[];
}

/** Leaves out clients, turns and faults as long as something is still wrong; what is wrong may change on the way. */
export async function shrink(scenario: Scenario): Promise<Shrunk | undefined> {
  const attempt = new Attempts();
  let best = await attempt.fails(scenario);
  if (!best) return undefined;
  for (let before = Number.POSITIVE_INFINITY; sizeOf(best.scenario) < before && attempt.left > 0; ) {
    before = sizeOf(best.scenario);
    best = await shrinkList(
      best,
      attempt,
      (s) => s.faults,
      (s, faults) => ({ ...s, faults }),
    );
    best = await shrinkTurns(best, attempt);
    best = await shrinkClients(best, attempt);
  }
  return best;
}

class Attempts {
  left = RUNS_MAX;

  async fails(scenario: Scenario): Promise<Shrunk | undefined> {
    if (this.left-- <= 0) return undefined;
    const { failure, lines } = await runWorld(new World(scenario, true));
    return failure === undefined ? undefined : { scenario, failure, lines: lines! };
  }
}

/** Halves first, then quarters, down to single entries (delta debugging, Zeller 1999). */
async function shrinkList<Item>(
  start: Shrunk,
  attempt: Attempts,
  read: (scenario: Scenario) => Item[],
  write: (scenario: Scenario, items: Item[]) => Scenario,
): Promise<Shrunk> {
  let best = start;
  for (
    let chunk = Math.ceil(read(best.scenario).length / 2);
    chunk >= 1;
    chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2)
  ) {
    for (let from = 0; from < read(best.scenario).length; ) {
      const items = read(best.scenario);
      const fewer = await attempt.fails(write(best.scenario, [...items.slice(0, from), ...items.slice(from + chunk)]));
      if (fewer) best = fewer;
      else from += chunk;
    }
  }
  return best;
}

async function shrinkTurns(start: Shrunk, attempt: Attempts): Promise<Shrunk> {
  let best = start;
  for (let client = 0; client < best.scenario.clients.length; client++) {
    best = await shrinkList(
      best,
      attempt,
      (scenario) => scenario.clients[client]!.turns,
      (scenario, turns) => ({
        ...scenario,
        clients: scenario.clients.map((plan, i) => (i === client ? { ...plan, turns } : plan)),
      }),
    );
  }
  return best;
}

async function shrinkClients(start: Shrunk, attempt: Attempts): Promise<Shrunk> {
  let best = start;
  for (let client = best.scenario.clients.length - 1; client >= 0 && best.scenario.clients.length > 1; client--) {
    best = (await attempt.fails(without(best.scenario, client))) ?? best;
  }
  return best;
}

/** Faults and tabs name clients by number: those behind the one that goes move up. */
function without(scenario: Scenario, gone: number): Scenario {
  const moved = (number: number) => (number > gone ? number - 1 : number);
  return {
    ...scenario,
    clients: scenario.clients.flatMap((plan, number) => {
      if (number === gone) return [];
      return { ...plan, tabOf: plan.tabOf === undefined || plan.tabOf === gone ? undefined : moved(plan.tabOf) };
    }),
    faults: scenario.faults.flatMap((fault) => {
      if (!('client' in fault)) return fault;
      return fault.client === gone ? [] : { ...fault, client: moved(fault.client) };
    }),
  };
}

function sizeOf({ clients, faults }: Scenario): number {
  return faults.length + clients.reduce((size, { turns }) => size + 1 + turns.length, 0);
}
