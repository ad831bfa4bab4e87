import { drawScenario } from './scenario.js';
import { seedOf } from './sim-random.js';
import { type RunReport, World } from './world.js';

/** What a range of seeds came to. */
export interface SeedsReport {
  seeds: number;
  faults: number;
  tokens: number;
  events: number;
  /** Of all traces, whatever the order in which they were run. */
  traceHash: number;
  failures: { index: number; what: string }[];
}

export const NOTHING: SeedsReport = { seeds: 0, faults: 0, tokens: 0, events: 0, traceHash: 0, failures: [] };

export async function runSeed(base: string, index: number): Promise<RunReport> {
  return runWorld(new World(drawScenario(seedOf(base, index))));
}

/** A promise that was rejected and that nobody awaits is a failure like any other. */
export async function runWorld(world: World): Promise<RunReport> {
  const stray: unknown[] = [];
  const onStray = (reason: unknown) => stray.push(reason);
  process.on('unhandledRejection', onStray);
  const report = await world.run();
  // Node looks for them when it has nothing else to do, and virtual time leaves it no turn.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onStray);
  if (stray.length === 0 || report.failure !== undefined) return report;
  const first = stray[0] instanceof Error ? stray[0].stack : String(stray[0]);
  return { ...report, failure: `${stray.length} rejections that nobody handles: ${first}` };
}

/** Runs the seeds one after the other, while there is time; ends at a failure if `stopsAtFailure`. */
export async function runSeeds(
  base: string,
  indices: Iterable<number>,
  { stopsAtFailure = false, hasTime = (): boolean => true } = {},
): Promise<SeedsReport> {
  let report = NOTHING;
  for (const index of indices) {
    const run = await runSeed(base, index);
    report = sum(report, {
      ...run,
      seeds: 1,
      failures: run.failure === undefined ? [] : [{ index, what: run.failure }],
    });
    if ((run.failure !== undefined && stopsAtFailure) || !hasTime()) break;
  }
  return report;
}

export function sum(a: SeedsReport, b: SeedsReport): SeedsReport {
  return {
    seeds: a.seeds + b.seeds,
    faults: a.faults + b.faults,
    tokens: a.tokens + b.tokens,
    events: a.events + b.events,
    traceHash: (a.traceHash + b.traceHash) % 2 ** 32,
    failures: [...a.failures, ...b.failures].sort((x, y) => x.index - y.index),
  };
}
