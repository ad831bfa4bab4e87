import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { systemClock } from '@tandem/shared';
import { FUZZ_BUGS } from './planted-bugs.js';
import { addUp, type FuzzRange, type FuzzReport, type InputKind } from './run-range.js';

/** `npm run fuzz`: see docs/reliability.md. */
const HELP = `Damaged frames and control maps through the real decoders, each compared with a slow, plain one.

  --frames N      damaged tensor frames (default 200000)
  --controls N    control maps in sound frames (default 50000)
  --first N       number of the first of each (default 0)
  --seed HEX      default 7f3a
  --seconds N     begins no input later than this (default: no limit)
  --planted NAME  leaves a guard out, "all" or one of: ${FUZZ_BUGS.map(({ name }) => name).join(', ')}
  --json          ends with one line of JSON
`;
const WORKER = new URL('./fuzz-worker.js', import.meta.url);
const PLANT = fileURLToPath(new URL('./plant-register.js', import.meta.url));

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '200000' },
    controls: { type: 'string', default: '50000' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string', default: '7f3a' },
    seconds: { type: 'string', default: 'Infinity' },
    planted: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const first = Number(values.first);
const counts: Record<InputKind, number> = { frame: Number(values.frames), control: Number(values.controls) };
const bugs = FUZZ_BUGS.filter(({ name }) => values.planted === 'all' || values.planted === name);
if (values.help) console.log(HELP);
else if (
  [first, counts.frame, counts.control].some((count) => !(count >= 0)) ||
  (values.planted && bugs.length === 0)
) {
  console.error(HELP);
  process.exitCode = 2;
} else if (values.planted) await findPlanted();
else await fuzz();

async function fuzz(): Promise<void> {
  const startMs = systemClock.now();
  const { verdicts, failures } = await runAll(false);
  const seconds = secondsSince(startMs);
  for (const { kind, index, what, hex } of failures) {
    const [frames, controls] = kind === 'frame' ? [1, 0] : [0, 1];
    const again = `--seed ${values.seed} --first ${index} --frames ${frames} --controls ${controls}`;
    console.log(`FAILED  ${kind} ${index}: ${what}\n  ${hex}\n  npm run fuzz -- ${again}`);
  }
  const { failed, ...taken } = verdicts;
  const inputs = Object.values(verdicts).reduce((sum, count) => sum + count, 0);
  const asked = counts.frame + counts.control;
  if (inputs < asked) console.log(`${inputs} of ${asked} inputs, then the time was up`);
  const report = {
    frames: counts.frame,
    controls: counts.control,
    inputs,
    ...taken,
    findings: failed,
    seconds,
    seed: values.seed,
    cores: availableParallelism(),
  };
  console.log(values.json ? JSON.stringify(report) : report);
  process.exitCode = failed > 0 ? 1 : 0;
}

async function findPlanted(): Promise<void> {
  const results = [];
  for (const { name, what } of bugs) {
    const { failures } = await runAll(true, name);
    const found = failures[0];
    results.push({ name, inputs: found ? found.index + 1 : null });
    console.log(found ? `found by ${found.kind} ${found.index}  ${name}: ${what}` : `MISSED  ${name}: ${what}`);
    if (found) console.log(`    ${found.what.slice(0, 160)}`);
  }
  const missed = results.filter(({ inputs }) => inputs === null).length;
  console.log(`${results.length - missed} found, ${missed} missed`);
  if (values.json) console.log(JSON.stringify({ seed: values.seed, missed, bugs: results }));
  process.exitCode = missed > 0 ? 1 : 0;
}

/** Deals the inputs out to one worker per core; with a planted bug one worker goes on until it finds something. */
async function runAll(stopsAtFailure: boolean, bug?: string): Promise<FuzzReport> {
  const workers = stopsAtFailure ? 1 : availableParallelism();
  const reports: FuzzReport[] = [];
  for (const kind of ['frame', 'control'] as const) {
    const end = first + counts[kind];
    const ranges = Array.from({ length: workers }, (_, number) => ({
      kind,
      seed: values.seed,
      first: first + number,
      end,
      step: workers,
      stopsAtFailure,
      // Shared out by what there is to do.
      budgetMs: (1_000 * Number(values.seconds) * counts[kind]) / (counts.frame + counts.control || 1),
    }));
    reports.push(...(await Promise.all(ranges.map((range) => runWorker(range, bug)))));
  }
  return addUp(reports);
}

function runWorker(range: FuzzRange, bug?: string): Promise<FuzzReport> {
  const planted = bug === undefined ? {} : { execArgv: ['--import', PLANT], env: { TANDEM_PLANTED_BUG: bug } };
  return new Promise((resolve, reject) => {
    const worker = new Worker(WORKER, { workerData: range, ...planted });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function secondsSince(startMs: number): number {
  return Math.round((systemClock.now() - startMs) / 100) / 10;
}
