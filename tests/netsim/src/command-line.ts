import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Clock, systemClock, TandemError } from '@tandem/shared';
import type { LinkProfile } from './link-profile.js';
import { presets } from './presets.js';
import { playScript, type ScriptName, scripts } from './script.js';
import { type LinkProxy, startProxy } from './tcp-proxy.js';
import { parseTrace } from './trace-file.js';

const PRESET_NAMES = Object.keys(presets).join(', ');
const SCRIPT_NAMES = Object.keys(scripts).join(', ');

export const HELP = `tandem netsim: a bad network in front of a real server.

  --target HOST:PORT  the server (default 127.0.0.1:8787)
  --listen PORT       where clients connect (default: a free port, printed)
  --preset NAME       ${PRESET_NAMES}
  --trace FILE        how the link changes: Mahimahi, "seconds Mbit/s", or "seconds,rtt,down,up"
  --script NAME       what happens to it: ${SCRIPT_NAMES}
  --cut-every-ms N    resets all connections, at random, so often on average
  --seed N            same seed, same link (default 1)
`;

/** Starts what the arguments ask for; undefined if they ask for help. @throws TandemError INVALID_OPTION */
export async function startFromArguments(args: string[], clock: Clock = systemClock): Promise<LinkProxy | undefined> {
  const values = read(args);
  if (values.help) return undefined;
  const [host, port] = hostAndPort(values.target);
  const proxy = await startProxy({
    target: { host, port },
    profile: await profileOf(values),
    seed: toNumber('--seed', values.seed),
    clock,
    listen: values.listen === undefined ? {} : { port: toNumber('--listen', values.listen) },
  });
  if (values.script !== undefined) void playScript(proxy, scriptName(values.script), { clock });
  return proxy;
}

function read(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (cause) {
    throw new TandemError('INVALID_OPTION', `${(cause as Error).message}; see --help`, { cause });
  }
}

const OPTIONS = {
  target: { type: 'string', default: '127.0.0.1:8787' },
  listen: { type: 'string' },
  preset: { type: 'string' },
  trace: { type: 'string' },
  script: { type: 'string' },
  'cut-every-ms': { type: 'string' },
  seed: { type: 'string', default: '1' },
  help: { type: 'boolean', default: false },
} as const;

async function profileOf(values: ReturnType<typeof read>): Promise<LinkProfile> {
  const { preset = '', trace, 'cut-every-ms': cutEveryMs } = values;
  const base = preset === '' ? {} : presets[preset];
  if (!base) throw new TandemError('INVALID_OPTION', `--preset ${preset}: known are ${PRESET_NAMES}`);
  return {
    ...base,
    ...(trace === undefined ? {} : { trace: parseTrace(await readTrace(trace)) }),
    ...(cutEveryMs === undefined ? {} : { randomCuts: { meanIntervalMs: toNumber('--cut-every-ms', cutEveryMs) } }),
  };
}

async function readTrace(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TandemError('INVALID_OPTION', `--trace ${path} cannot be read`, { cause });
  }
}

function hostAndPort(target: string): [string, number] {
  const colon = target.lastIndexOf(':');
  return [target.slice(0, colon) || '127.0.0.1', toNumber('--target', target.slice(colon + 1))];
}

function scriptName(name: string): ScriptName {
  if (name in scripts) return name as ScriptName;
  throw new TandemError('INVALID_OPTION', `--script ${name}: known are ${SCRIPT_NAMES}`);
}

function toNumber(option: string, text: string): number {
  const number = Number(text);
  if (text !== '' && Number.isFinite(number) && number >= 0) return number;
  throw new TandemError('INVALID_OPTION', `${option} ${text}: not a number from 0 on`);
}
