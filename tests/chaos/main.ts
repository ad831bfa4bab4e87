import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { limits, systemClock } from '@tandem/shared';
import { Dice, seedOf } from '../simulation/sim-random.js';
import { startBench, tellUnsplit } from '../support/exactness.js';
import { OPENINGS } from '../support/tales.js';
import { ChaosClient, type ChaosStory } from './chaos-client.js';

/** `npm run chaos`: real server, real engine, real sockets, and a proxy before each client that torments its link. */
const HELP = `Sessions of the story model through tormented TCP connections; every text must be that of one process.

  --clients N   default 64
  --faults N    so many, then the last stories are told to their end (default 5000)
  --seconds N   ends the torment earlier than that (default: no limit)
  --seed HEX    default 7f3a
  --json        ends with one line of JSON
`;
const TOKENS_PER_STORY = 16;
/** The engine process is killed once for so many faults. */
const FAULTS_PER_KILL = 400;
/** Pause between two faults, over all clients. */
const PAUSE_MS = 16;
/** After the torment every client may still sit out one silence. */
const GRACE_MS = 3 * limits.SILENCE_TIMEOUT_MS;

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '64' },
    faults: { type: 'string', default: '5000' },
    seconds: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '7f3a' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(HELP);
else await run(Number(values.clients), Number(values.faults), 1_000 * Number(values.seconds));

async function run(clientCount: number, faultsMax: number, budgetMs: number): Promise<void> {
  const bench = await startBench('q8');
  const startMs = systemClock.now();
  const clients: ChaosClient[] = [];
  for (let number = 0; number < clientCount; number++) {
    const story = { opening: OPENINGS[number % OPENINGS.length]!, temperature: number % 2 ? 0.8 : 0, seed: number };
    const told = { ...story, maxOutputTokens: TOKENS_PER_STORY };
    const { opening: prompt, ...rest } = told;
    const planned: ChaosStory = { prompt, ...rest, expected: await tellUnsplit(bench, told) };
    clients.push(await ChaosClient.start(bench.model, bench.server.port, planned, seedOf(values.seed, number)));
  }
  const tormentedMs = systemClock.now();
  console.log(`${clientCount} clients, their stories told by one process in ${seconds(tormentedMs - startMs)} s`);
  const torment = { isOver: false };
  const lives = clients.map((client) => client.live(() => !torment.isOver));
  const kinds = await hurtAll(clients, faultsMax, budgetMs, () => kill(bench.server.engineProcessIds));
  torment.isOver = true;
  const calm = systemClock.now();
  const everyone = await Promise.race([
    Promise.all(lives).then(() => true),
    systemClock.sleep(GRACE_MS).then(() => false),
  ]);
  if (!everyone) clients[0]?.problems.push('lost: not every client is done after the torment');
  console.log(`all told ${seconds(systemClock.now() - calm)} s after the last fault`);
  report(clients, kinds, calm - tormentedMs);
  // What a failed run leaves behind must not keep the process; nor may a close that takes too long.
  await Promise.race([bench.close(), systemClock.sleep(limits.STOP_GRACE_MS + limits.CLOSE_TIMEOUT_MS)]);
  process.exit();
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

async function hurtAll(
  clients: readonly ChaosClient[],
  faultsMax: number,
  budgetMs: number,
  killEngine: () => void,
): Promise<Map<string, number>> {
  const dice = new Dice(seedOf(values.seed, 1e6));
  const startMs = systemClock.now();
  const kinds = new Map<string, number>();
  const count = (kind: string) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  for (let fault = 1; fault <= faultsMax && systemClock.now() - startMs < budgetMs; fault++) {
    if (fault % FAULTS_PER_KILL === 0) {
      killEngine();
      count('engine-kill');
    } else count(dice.pick(clients).hurt());
    // In step with the clock, not with the sleep: on a busy machine one oversleeps.
    const behindMs = startMs + fault * PAUSE_MS - systemClock.now();
    await systemClock.sleep(Math.max(0, behindMs));
  }
  return kinds;
}

function kill(processIds: readonly number[]): void {
  for (const id of processIds) process.kill(id, 'SIGKILL');
}

function report(clients: readonly ChaosClient[], kinds: Map<string, number>, tormentMs: number): void {
  const sum = (read: (client: ChaosClient) => number) => clients.reduce((total, client) => total + read(client), 0);
  const problems = clients.flatMap(({ problems }) => problems);
  for (const problem of problems.slice(0, 20)) console.log(`PROBLEM ${problem}`);
  const resumes = clients.flatMap(({ resumesMs }) => resumesMs).sort((a, b) => a - b);
  const quantile = (part: number) => Math.round(resumes[Math.floor(part * (resumes.length - 1))] ?? 0);
  const faults = [...kinds.values()].reduce((total, number) => total + number, 0);
  console.log([...kinds].map(([kind, number]) => `${number} ${kind}`).join(', '));
  const figures = {
    clients: clients.length,
    faults,
    stories: sum(({ stories }) => stories),
    tokens: sum(({ tokens }) => tokens),
    mismatches: problems.filter((problem) => problem.startsWith('mismatch')).length,
    lost: problems.filter((problem) => problem.startsWith('lost')).length,
    resumes: resumes.length,
    resumeP50Ms: quantile(0.5),
    resumeP99Ms: quantile(0.99),
    seconds: seconds(tormentMs),
    seed: values.seed,
    cores: availableParallelism(),
  };
  console.log(values.json ? JSON.stringify(figures) : figures);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
