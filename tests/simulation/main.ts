import { parseArgs } from 'node:util';
import { systemClock } from '@tandem/shared';
import { PLANTED_BUGS } from './planted-bugs.js';
import { runInWorkers, runPlanted, type SeedRange } from './run-workers.js';
import { drawScenario } from './scenario.js';
import { shrink } from './shrink.js';
import { seedOf } from './sim-random.js';

/** `npm run simulate`: see docs/reliability.md. */
const HELP = `Runs device, link and server under a virtual clock, with faults, and compares every text with one process.

  --seed HEX      where the seeds come from; a commit hash will do (default 7f3a)
  --seeds N       how many (default 2000; with --planted 200)
  --first N       number of the first one (default 0)
  --seconds N     begins no seed later than this (default: no limit)
  --planted NAME  breaks the code on purpose, "all" or one of: ${PLANTED_BUGS.map(({ name }) => name).join(', ')}
  --json          ends with one line of JSON
`;

/** Lines of the trace before the failure that are printed. */
const TRACE_LINES = 40;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '7f3a' },
    seeds: { type: 'string' },
    seconds: { type: 'string', default: 'Infinity' },
    first: { type: 'string', default: '0' },
    planted: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const count = Number(values.seeds ?? (values.planted ? 200 : 2_000));
const range: SeedRange = {
  base: values.seed,
  first: Number(values.first),
  count,
  budgetMs: 1_000 * Number(values.seconds),
};
if (!/^[0-9a-f]+$/i.test(range.base) || !(range.count > 0) || !(range.first >= 0) || !(range.budgetMs > 0)) {
  console.error(`--seed takes hexadecimal digits, --seeds, --first and --seconds take numbers\n\n${HELP}`);
  process.exitCode = 2;
} else if (values.help) console.log(HELP);
else if (values.planted) await findPlanted(values.planted);
else await simulate();

async function simulate(): Promise<void> {
  const startMs = systemClock.now();
  const { seeds, faults, tokens, events, traceHash, failures } = await runInWorkers(range);
  const seconds = Math.round((systemClock.now() - startMs) / 100) / 10;
  const perMinute = Math.round((60 * seeds) / seconds);
  const cut = seeds < range.count ? ` of ${range.count}, then the time was up` : '';
  console.log(
    `${seeds} seeds${cut}, base ${range.base}: ${faults} faults, ${tokens} tokens, ${events} events in ${seconds} s`,
  );
  for (const { index, what } of failures)
    console.log(`FAILED  --seed ${range.base} --first ${index} --seeds 1\n  ${what}`);
  if (failures[0]) await explain(failures[0].index);
  const hash = traceHash.toString(16).padStart(8, '0');
  const report = {
    seed: range.base,
    seeds,
    faults,
    tokens,
    mismatches: failures.length,
    seconds,
    perMinute,
    traceHash: hash,
  };
  console.log(values.json ? JSON.stringify(report) : `trace ${hash}, ${perMinute} seeds a minute`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}

/** The smallest scenario that still fails, and what happened in it. */
async function explain(index: number): Promise<void> {
  const shrunk = await shrink(drawScenario(seedOf(range.base, index)));
  if (!shrunk) return console.log('\nIt does not fail again: something outside of the simulation has a part in it.');
  const { scenario, failure, lines } = shrunk;
  const { faults, ...plan } = scenario;
  console.log(`\nShrunk to ${scenario.clients.length} clients, ${faults.length} faults: ${failure}`);
  console.log(JSON.stringify(plan));
  for (const fault of faults) console.log(`  ${JSON.stringify(fault)}`);
  console.log(lines.slice(-TRACE_LINES).join('\n'));
}

async function findPlanted(wanted: string): Promise<void> {
  const bugs = PLANTED_BUGS.filter(({ name }) => wanted === 'all' || name === wanted);
  if (bugs.length === 0) {
    console.error(`no planted bug is called ${wanted}\n\n${HELP}`);
    process.exitCode = 2;
    return;
  }
  const results = [];
  for (const { name, what } of bugs) {
    const { found, what: sign } = await runPlanted(name, range);
    results.push({ name, seeds: found ?? null });
    console.log(`${found ? `found after ${String(found).padStart(3)}` : 'MISSED         '}  ${name}: ${what}`);
    if (sign) console.log(`                 ${sign.split('\n')[0]}`);
  }
  const missed = results.filter(({ seeds }) => seeds === null).length;
  console.log(`${results.length - missed} found, ${missed} missed`);
  if (values.json) console.log(JSON.stringify({ seed: range.base, seedsMax: range.count, missed, bugs: results }));
  process.exitCode = missed > 0 ? 1 : 0;
}
