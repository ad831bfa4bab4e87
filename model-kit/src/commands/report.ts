import { access, constants, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  CALIBRATED_POLICY_NAMES,
  type CalibratedPolicyName,
  type Format,
  PROFILES,
  systemClock,
  TandemError,
} from '@tandem/shared';
import { MANIFEST_FILE } from '@tandem/shared/node';
import { Command, Option } from 'commander';
import { cachedBundle } from '../bundle-cache.js';
import { TEXT_SEPARATOR } from '../calibration/text-file.js';
import { readEstimate } from '../hub/estimate.js';
import { measureSuitability, type ReportOptions } from '../report/measure-suitability.js';
import { describeReport } from '../report/report-table.js';
import { parseFormats, parseLayer, parseLayers } from './prepare.js';
import { StepLine } from './step-line.js';

interface ReportFlags {
  text?: string;
  separator: string;
  tokens: number;
  seed: number;
  format?: Format[];
  exits?: number[];
  cut?: number;
  policy: CalibratedPolicyName;
  profile: string;
  serverSpeed: number;
  uplink: number;
  cloudPrice: number;
  threads: number;
  html?: string;
  json?: boolean;
}

/** `tandem report <folder>` */
export function reportCommand(): Command {
  return new Command('report')
    .description('Measure whether the exits of a model are worth it: agreement, formats, codecs, time by round trip.')
    .argument('<folder>', 'bundle made by "tandem prepare", or checkpoint folder')
    .option('--text <file>', 'text to measure on (default: the model tells its own)')
    .option('--separator <text>', 'what stands between two texts of the file', TEXT_SEPARATOR)
    .option('--tokens <count>', 'tokens of text to measure on: fewer are quicker and less exact', Number, 10_000)
    .option('--seed <number>', 'seed of the told texts', Number, 2)
    .option(
      '--format <formats>',
      'the first is that of the exits and times (default: those of the bundle; q8,f32,f16,q4 of a checkpoint)',
      parseFormats,
    )
    .option('--exits <layers>', 'exits of a checkpoint, as for "tandem prepare"', parseLayers)
    .option('--cut <layer>', 'cut of a checkpoint, as for "tandem prepare"', parseLayer)
    .addOption(new Option('--policy <name>', 'what exits leave by').choices(CALIBRATED_POLICY_NAMES).default('margin'))
    .addOption(
      new Option('--profile <name>', 'stage times to predict with')
        .choices(['measured', ...Object.keys(PROFILES)])
        .default('measured'),
    )
    .option('--server-speed <times>', 'measured: how many times as quick as this machine the server is', Number, 1)
    .option('--uplink <mbit>', 'measured: of the device’s link, in Mbit/s', Number, 30)
    .option('--cloud-price <weight>', 'what a millisecond of the server is worth', Number, 0.45)
    .option('--threads <count>', 'threads of one step', Number, 1)
    .option('--html <file>', 'write the report as one self-contained page, with plots')
    .option('--json', 'print the report as one line of JSON and no progress')
    .addHelpText('after', '\nExample:\n  $ tandem report models/tales --html report.html')
    .action(runReport);
}

async function runReport(folder: string, flags: ReportFlags): Promise<void> {
  if (flags.html !== undefined) await checkWritable(flags.html);
  const isBundle = await access(join(folder, MANIFEST_FILE)).then(
    () => true,
    () => false,
  );
  const bundle = isBundle
    ? folder
    : await cachedBundle(folder, {
        ...(await boundariesOf(folder, flags)),
        formats: flags.format ?? ['q8', 'f32', 'f16', 'q4'],
        onMissing: flags.json ? undefined : () => process.stderr.write('Preparing the bundle (once)…\n'),
      });
  const line = new StepLine(process.stderr, systemClock);
  const report = await measureSuitability({
    bundle,
    source:
      flags.text === undefined
        ? { kind: 'told', seed: flags.seed }
        : { kind: 'file', path: flags.text, separator: flags.separator },
    tokens: flags.tokens,
    format: flags.format?.[0],
    policy: flags.policy,
    times: timesOf(flags),
    cloudPrice: positive('--cloud-price', flags.cloudPrice),
    threads: positive('--threads', flags.threads),
    clock: systemClock,
    onProgress: flags.json ? undefined : (step, done, total) => line.show(step, done, total),
  });
  if (flags.html !== undefined) {
    // Plots are loaded here and not before: most runs do without.
    const { reportPage } = await import('../report/report-page.js');
    await writeFile(flags.html, reportPage(report));
  }
  console.log(flags.json ? JSON.stringify(report, roundNumbers) : describeReport(report));
}

/** What "tandem inspect" suggests for a checkpoint that nobody has given exits yet: its raw ones can be looked at, too. */
async function boundariesOf(folder: string, { exits, cut }: ReportFlags): Promise<Pick<ReportFlags, 'exits' | 'cut'>> {
  if (exits !== undefined || cut !== undefined) return { exits, cut };
  const isFitted = await access(join(folder, 'exits.safetensors')).then(
    () => true,
    () => false,
  );
  if (isFitted) return {};
  const suggested = await readEstimate(folder);
  return { exits: suggested.exits, cut: suggested.cut };
}

function timesOf({ profile, serverSpeed, uplink }: ReportFlags): ReportOptions['times'] {
  const known = PROFILES[profile];
  if (known) return { kind: 'profile', profile: known };
  return {
    kind: 'measured',
    serverSpeed: positive('--server-speed', serverSpeed),
    uplinkMbit: positive('--uplink', uplink),
  };
}

function positive(flag: string, value: number): number {
  if (value > 0 && Number.isFinite(value)) return value;
  throw new TandemError('INVALID_OPTION', `${flag} ${value}; give a number above 0`);
}

/** Minutes of measuring come first, so a mistyped name is told before them. */
async function checkWritable(file: string): Promise<void> {
  await access(dirname(resolve(file)), constants.W_OK).catch((cause: unknown) => {
    throw new TandemError('INVALID_OPTION', `--html ${file} cannot be written; name a file in a folder that exists`, {
      cause,
    });
  });
}

/** Five digits are more than such figures are worth. */
function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
