import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '@tandem/shared';
import { Soak } from './soak.js';
import { median, slopePerHour, type Vitals } from './vitals.js';

/** `npm run soak`: hours of users, enemies, faults, kills and restarts; what grows, and what is wrong. */
const HELP = `A server with its engine, users that come and go over bad links, peers that mean no good, kills and restarts.

  --minutes N    default 60
  --clients N    default 12
  --hostile N    percent of those who come that are no clients (default 5)
  --pause-ms N   between two stories of a client, in the mean (default 4000)
  --fault-ms N   between two faults (default 500)
  --kill-ms N    between two kills of the engine (default 60000)
  --restart-ms N between two restarts of the server (default 240000)
  --seed HEX     default 7f3a
  --json         ends with one line of JSON

Exits with 1 for a mismatch, a lost story, or handles that are left.
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    clients: { type: 'string', default: '12' },
    hostile: { type: 'string', default: '5' },
    'pause-ms': { type: 'string', default: '4000' },
    'fault-ms': { type: 'string', default: '500' },
    'kill-ms': { type: 'string', default: '60000' },
    'restart-ms': { type: 'string', default: '240000' },
    seed: { type: 'string', default: '7f3a' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(HELP);
else await run();

async function run(): Promise<void> {
  const durationMs = 60_000 * Number(values.minutes);
  const soak = await Soak.start({
    durationMs,
    clients: Number(values.clients),
    hostileShare: Number(values.hostile) / 100,
    pauseMs: Number(values['pause-ms']),
    faultMs: Number(values['fault-ms']),
    killMs: Number(values['kill-ms']),
    restartMs: Number(values['restart-ms']),
    sampleMs: Math.min(60_000, durationMs / 20),
    seed: values.seed,
  });
  const startCpuUs = process.cpuUsage();
  const startMs = systemClock.now();
  await soak.run(({ atS, heapMib, residentMib, handles, engineMib }) => {
    const stories = sum(soak, ({ stories }) => stories);
    const parts = [`${Math.round(atS)} s`, `${stories} stories`, `${problemsOf(soak).length} problems`];
    console.log(
      `${parts.join(', ')}; heap ${heapMib} MiB, resident ${residentMib}, engine ${engineMib}; ${handles} handles`,
    );
  });
  const elapsedS = (systemClock.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(startCpuUs);
  const cpuShare = Math.round((100 * (user + system)) / 1e6 / elapsedS) / 100;
  const left = await soak.close();
  if (left.length > 0) console.log(`left: ${left.join(', ')}`);
  report(soak, { elapsedS: Math.round(elapsedS), cpuShare, handlesLeft: left.length });
  // What a failed run leaves behind must not keep the process.
  process.exit();
}

function sum(soak: Soak, read: (tally: Soak['clients'][number]['tally']) => number): number {
  return soak.clients.reduce((total, { tally }) => total + read(tally), 0);
}

function problemsOf(soak: Soak): string[] {
  return soak.clients.flatMap(({ tally }) => tally.problems);
}

function report(soak: Soak, ending: { elapsedS: number; cpuShare: number; handlesLeft: number }): void {
  const problems = problemsOf(soak);
  for (const problem of problems.slice(0, 20)) console.log(`PROBLEM ${problem}`);
  console.log([...soak.kinds].map(([kind, number]) => `${number} ${kind}`).join(', '));
  for (const [attack, { visits, shownOut }] of soak.attacks)
    console.log(`${attack}: ${shownOut} of ${visits} shown out`);
  const grows = (of: (vitals: Vitals) => number) => slopePerHour(soak.vitals, of);
  const middle = (of: (vitals: Vitals) => number) => median(soak.vitals.map(of));
  const figures = {
    minutes: Number(values.minutes),
    clients: soak.clients.length,
    sessions: sum(soak, ({ sessions }) => sessions),
    stories: sum(soak, ({ stories }) => stories),
    tokens: sum(soak, ({ tokens }) => tokens),
    cancelled: sum(soak, ({ cancelled }) => cancelled),
    faults: sum(soak, ({ faults }) => faults),
    hostile: [...soak.attacks.values()].reduce((total, { visits }) => total + visits, 0),
    kills: soak.kills,
    restarts: soak.restarts,
    mismatches: problems.filter((problem) => problem.startsWith('mismatch')).length,
    lost: problems.filter((problem) => problem.startsWith('lost')).length,
    heapMib: middle(({ heapMib }) => heapMib),
    heapMibPerHour: grows(({ heapMib }) => heapMib),
    residentMib: middle(({ residentMib }) => residentMib),
    residentMibPerHour: grows(({ residentMib }) => residentMib),
    handles: middle(({ handles }) => handles),
    handlesPerHour: grows(({ handles }) => handles),
    ...ending,
    seed: values.seed,
    cores: availableParallelism(),
  };
  console.log(values.json ? JSON.stringify(figures) : figures);
  process.exitCode = problems.length > 0 || ending.handlesLeft > 0 ? 1 : 0;
}
