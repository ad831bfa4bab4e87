import { access } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Calibration, Format } from '@tandem/shared';
import { loadChainEngine, MANIFEST_FILE, openBundle } from '@tandem/shared/node';
import { Command } from 'commander';
import { cachedBundle } from '../bundle-cache.js';
import { type CalibrationResult, calibrateBundle, type TextSource } from '../calibration/calibrate-bundle.js';
import { merge, replaceJson, writeCalibration } from '../calibration/calibration-file.js';
import { readTextFile, TEXT_SEPARATOR } from '../calibration/text-file.js';
import { sampleTexts } from '../calibration/told-text.js';
import { type FittedExit, fitExits } from '../exit-heads/fit-exits.js';
import { foldExits, rawExits, writeExits } from '../exit-heads/fold-exits.js';
import { parseFormats, parseLayer, parseLayers } from './prepare.js';
import { formatTable } from './text.js';

interface CalibrateFlags {
  text?: string;
  separator: string;
  texts: number;
  seed: number;
  heads: boolean;
  headTokens: number;
  format?: Format[];
  exits?: number[];
  cut?: number;
  epsilon?: number[];
  delta?: number;
  threads?: number;
  json?: boolean;
}

/** `tandem calibrate <folder> --text <file>` */
export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description(
      'Give exits that have none a head, and find exit thresholds with a guarantee: for a bundle (into its files) or a checkpoint (beside its files).',
    )
    .argument('<folder>', 'bundle made by "tandem prepare", or checkpoint folder')
    .option('--text <file>', 'text to calibrate on (default: the model tells its own)')
    .option('--separator <text>', 'what stands between two texts of the file', TEXT_SEPARATOR)
    .option('--texts <count>', 'texts for the model to tell', Number, 800)
    .option('--seed <number>', 'seed of the told texts', Number, 1)
    .option('--no-heads', 'leave raw exits as they are')
    .option('--head-tokens <count>', 'told tokens that heads are fitted on', Number, 50_000)
    .option('--format <formats>', 'weight formats (default: those of the bundle; q8,f32 of a checkpoint)', parseFormats)
    .option('--exits <layers>', 'exits of a checkpoint, as for "tandem prepare"', parseLayers)
    .option('--cut <layer>', 'cut of a checkpoint, as for "tandem prepare"', parseLayer)
    .option('--epsilon <shares>', 'disagreements to calibrate for (default: 0.001,0.005,0.01,0.02,0.05)', parseShares)
    .option('--delta <share>', 'chance that a threshold does not keep its promise (default: 0.05)', Number)
    .option('--threads <count>', 'threads of one step (default: 1, best for small models)', Number)
    .option('--json', 'print the calibrations as one line of JSON and no progress')
    .addHelpText(
      'after',
      '\nExample:\n  $ tandem calibrate models/tales\n  $ tandem calibrate tales-bundle --text stories.txt',
    )
    .action(runCalibrate);
}

async function runCalibrate(folder: string, flags: CalibrateFlags): Promise<void> {
  const isBundle = await access(join(folder, MANIFEST_FILE)).then(
    () => true,
    () => false,
  );
  const openFolder = () =>
    cachedBundle(folder, { exits: flags.exits, cut: flags.cut, formats: flags.format ?? ['q8', 'f32'] });
  let directory = isBundle ? folder : await openFolder();
  const texts = flags.text === undefined ? undefined : await readTextFile(flags.text, directory, flags.separator);
  const missing = flags.heads ? await rawExits(directory) : [];
  let fitted: FittedExit[] = [];
  if (missing.length > 0) {
    fitted = (await fitHeads(directory, texts, flags)).filter(({ exit }) => missing.includes(exit));
    const maps = new Map(fitted.map(({ exit, map }) => [exit, map]));
    if (isBundle) await foldExits(directory, maps);
    else {
      await writeExits(folder, maps);
      directory = await openFolder();
    }
    if (!flags.json) console.log(`${describeHeads(fitted)}\n`);
  }
  // Thresholds are never tested on texts that heads were fitted on.
  const source: TextSource =
    texts === undefined
      ? { kind: 'told', texts: flags.texts, seed: flags.seed }
      : { kind: 'texts', name: basename(flags.text!), texts: missing.length > 0 ? half(texts, 1) : texts };
  const results = await calibrateBundle({
    bundle: directory,
    formats: flags.format,
    source,
    epsilons: flags.epsilon,
    delta: flags.delta,
    threads: flags.threads,
    onProgress: flags.json ? undefined : showProgress,
  });
  const calibrations = results.map(({ calibration }) => calibration);
  const { manifest } = await openBundle(directory);
  if (isBundle) {
    const calibration = merge(manifest.calibration ?? [], calibrations);
    await replaceJson(join(directory, MANIFEST_FILE), { ...manifest, calibration });
  } else {
    await writeCalibration(folder, manifest, calibrations);
  }
  const heads = fitted.map(({ map, ...rest }) => rest);
  console.log(flags.json ? JSON.stringify({ heads, calibrations }) : results.map(describeResult).join('\n\n'));
}

const HEAD_TEXT_TOKENS = 128;

async function fitHeads(
  directory: string,
  texts: readonly number[][] | undefined,
  { headTokens, seed, threads, json }: CalibrateFlags,
): Promise<FittedExit[]> {
  const { manifest } = await openBundle(directory);
  const begin = manifest.bosTokenId === null ? [] : [manifest.bosTokenId];
  const own = texts && half(texts, 0).map((tokens) => (tokens[0] === begin[0] ? tokens : [...begin, ...tokens]));
  const onProgress = json ? undefined : (done: number, total: number) => showProgress('fit', done, total);
  return await fitExits({
    bundle: directory,
    texts: own?.map((tokens) => tokens.slice(0, HEAD_TEXT_TOKENS)) ?? (await tell()),
    threads: threads ?? 1,
    onProgress,
  });

  async function tell(): Promise<number[][]> {
    const engine = await loadChainEngine({ directory, format: undefined, threads: threads ?? 1, preload: 'all' });
    try {
      // Other draws than those that thresholds are tested on: these are at temperature 1.
      return await sampleTexts(engine, manifest, { tokens: headTokens, textTokens: HEAD_TEXT_TOKENS, seed });
    } finally {
      await engine.dispose();
    }
  }
}

function half<Item>(items: readonly Item[], remainder: 0 | 1): Item[] {
  return items.filter((_, i) => i % 2 === remainder);
}

function describeHeads(fitted: readonly FittedExit[]): string {
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const rows = fitted.map(({ exit, raw, fitted: own, rank, lambda, steps }) => [
    `after layer ${exit}`,
    percent(raw),
    percent(own),
    `${rank === 'full' ? 'affine' : `rank ${rank}`}, ridge ${lambda}, ${steps} steps`,
  ]);
  return formatTable([['exit', 'agreement raw', 'fitted', 'map'], ...rows]);
}

function describeResult({ calibration, settled }: CalibrationResult): string {
  const { format, text, delta } = calibration;
  const rows = calibration.policies.map(({ policy, epsilon, thresholds }, i) => [
    policy,
    String(epsilon),
    thresholds.map((threshold) => threshold ?? 'never').join(', '),
    `${(settled[i]!.settled * 100).toFixed(1)} %`,
  ]);
  const head = `${format}: ${text.texts} texts, ${text.tokens} tokens (${text.name}), confidence ${1 - delta}`;
  return `${head}\n${formatTable([['policy', 'epsilon', 'thresholds by exit', 'settled on the device'], ...rows])}${hint(calibration)}`;
}

/** What too little text looks like. */
function hint({ policies }: Calibration): string {
  const isEmpty = policies.some(({ thresholds }) => thresholds.every((threshold) => threshold === null));
  return isEmpty ? '\nNothing may be settled where all thresholds are "never": more texts can show more.' : '';
}

function showProgress(what: string, done: number, total: number): void {
  const every = process.stderr.isTTY ? 1 : Math.ceil(total / 10);
  if (done % every !== 0 && done !== total) return;
  const line = `${what} ${done}/${total} texts`;
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}${done === total ? '\n' : ''}` : `${line}\n`);
}

function parseShares(text: string): number[] {
  return text.split(',').map(Number);
}
