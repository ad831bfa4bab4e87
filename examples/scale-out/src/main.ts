/**
 * `npm run scale-out`: three servers behind HAProxy under load. Every link is cut, servers are killed and drained in turns;
 * each story has to be that of one process. Ends with one line of JSON, and with 1 if a text differs.
 */
import { fileURLToPath } from 'node:url';
import { isTandemError } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { Fleet, missingHaproxy } from './fleet.js';
import { parseScaleOutOptions, type ScaleOutOptions } from './options.js';
import { Readers } from './readers.js';

const TALES = fileURLToPath(new URL('../../../models/tales', import.meta.url));
const FORMAT = 'q8';

/** What one blow did. */
interface Blow {
  what: string;
  /** Stories that were told until every device had told a whole one after it. */
  stories: number;
  /** Rows that went up again: servers that did not have them. Those under way in a broken link are among them. */
  resentRows: number;
  sessions: number[];
}

async function run(options: ScaleOutOptions): Promise<void> {
  const bundle = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f32', FORMAT] });
  const fleet = await Fleet.start({ bundle, format: FORMAT, balance: options.balance });
  try {
    await strikeAndTell(fleet, bundle, options);
  } finally {
    await fleet.close();
  }
}

async function strikeAndTell(fleet: Fleet, bundle: string, options: ScaleOutOptions): Promise<void> {
  const say = options.json ? () => {} : console.log;
  const readers = await Readers.load(bundle, FORMAT);
  say(`Three servers behind HAProxy (balance ${options.balance}), ${options.devices} devices.\n`);
  readers.start(fleet.url, options.devices, `${TALES}/openings.txt`);
  await readers.more(1);
  say(`  at first: sessions ${await fleet.sessions()}`);
  const blows: Blow[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const strike of strikes(fleet, readers, round)) {
      blows.push(await feel(fleet, readers, strike));
      const { what, stories, resentRows, sessions } = blows.at(-1)!;
      say(`  ${what}: ${stories} stories on, ${resentRows} rows again, sessions ${sessions}`);
    }
  }
  await readers.stop();
  const { stories, mismatches } = readers;
  say(`\n${stories} stories, ${mismatches} that differ from those of one process.`);
  const { balance, devices } = options;
  console.log(JSON.stringify({ example: 'scale-out', balance, devices, stories, mismatches, blows }));
  if (mismatches > 0) process.exitCode = 1;
}

interface Strike {
  what: string;
  strike(): Promise<void>;
}

function strikes(fleet: Fleet, readers: Readers, round: number): Strike[] {
  const [killed, drained] = [round % 3, (round + 1) % 3];
  const bring = async (index: number, signal: 'SIGKILL' | 'SIGTERM') => {
    await fleet.stopServer(index, signal);
    await readers.more(1);
    await fleet.startServer(index);
    await fleet.settle();
  };
  return [
    { what: 'every link is cut', strike: async () => readers.cutLinks() },
    { what: `server ${killed + 1} is killed, and comes back`, strike: () => bring(killed, 'SIGKILL') },
    { what: `server ${drained + 1} drains, and comes back`, strike: () => bring(drained, 'SIGTERM') },
  ];
}

async function feel(fleet: Fleet, readers: Readers, { what, strike }: Strike): Promise<Blow> {
  const storiesBefore = readers.stories;
  const resentBefore = readers.resentRows;
  await strike();
  await readers.more(1);
  const [stories, resentRows] = [readers.stories - storiesBefore, readers.resentRows - resentBefore];
  return { what, stories, resentRows, sessions: await fleet.sessions() };
}

const missing = missingHaproxy();
if (missing) {
  console.error(missing);
  process.exitCode = 2;
} else {
  run(parseScaleOutOptions(process.argv)).then(
    () => process.exit(),
    (error) => {
      console.error(isTandemError(error) ? error.message : error);
      process.exit(1);
    },
  );
}
