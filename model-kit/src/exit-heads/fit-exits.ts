import { dirname } from 'node:path';
import { argmax, type Format, TandemError } from '@tandem/shared';
import { openBundle } from '@tandem/shared/node';
import { type ExitMap, hasExitMap } from '../onnx/exit-map.js';
import { HeadJudge, identityMap, type JudgedRows } from './head-judge.js';
import { RidgeFit, toExitMap } from './ridge.js';
import { type FittedRows, ridgeSteps } from './ridge-steps.js';
import { RowCollector } from './row-collector.js';
import { RowProducts } from './row-products.js';

export interface FitOptions {
  /** Folder of the bundle. */
  bundle: string;
  /** Default: the bundle's first. */
  format?: Format;
  /** Token ids as the model reads them, the beginning token included. */
  texts: readonly (readonly number[])[];
  /** Default 1. */
  threads?: number;
  onProgress?: (done: number, total: number) => void;
}

export interface FittedExit {
  /** Layer after which the device can stop. */
  exit: number;
  /** Device stages up to it, counted from 1. */
  stage: number;
  /** Share of tokens on which the exit is right, on texts that neither fitted nor chose: without a map, */
  raw: number;
  /** with the fitted one, */
  fitted: number;
  /** and with the one in the bundle, which was trained or fitted before; undefined for a raw exit. */
  present: number | undefined;
  map: ExitMap;
  /** What was chosen. */
  lambda: number;
  rank: 'full' | number;
  /** Ridge regressions after the first, towards the right token. */
  steps: number;
}

const LAMBDAS = [1e-4, 1e-3, 1e-2, 1e-1];
/** Parts of the width. */
const RANKS = [1 / 8, 1 / 4, 1 / 2];
/** Tokens of the fitting texts that the later steps look at, and of those that choose and are reported, at most; the rest only fit. */
const SAMPLE_TOKENS = 5_000;
const JUDGED_TOKENS = 5_000;
/** Numbers of the head times such tokens, at most: each of a dozen maps takes a pass of it, and a large head a minute for all of them. */
const SAMPLE_PRODUCTS = 8e10;
const JUDGED_PRODUCTS = 7e10;
/** Of ten texts eight fit, one chooses, one is only reported. */
const ROLES = ['fit', 'fit', 'fit', 'fit', 'choose', 'fit', 'fit', 'fit', 'fit', 'report'] as const;

/**
 * Exit heads without training: an affine map from the row at each exit to the row at the end, by ridge regression in closed form on
 * rows that the bundle itself makes ("Jump to Conclusions", Din et al. 2023), and some more towards the right token. How strongly it
 * is held back, how many steps it takes and whether it may use all directions, is chosen by agreement on texts of its own.
 *
 * @throws TandemError INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, ENGINE_UNAVAILABLE
 */
export async function fitExits(options: FitOptions): Promise<FittedExit[]> {
  if (options.texts.length < ROLES.length) {
    const message = `${options.texts.length} texts to fit exit heads on; give at least ${ROLES.length}, or more tokens to tell`;
    throw new TandemError('INVALID_OPTION', message);
  }
  const bundle = await openBundle(options.bundle);
  const { manifest } = bundle;
  const format = options.format ?? manifest.formats[0]!;
  const stages = manifest.stages.flatMap(({ head }, index) => (head === 'exit' ? [index] : []));
  const products = await RowProducts.create();
  const fits = stages.map(() => new RidgeFit(products, manifest.width));
  const judged = await collect(options, format, fits);
  const fitted: FittedExit[] = [];
  for (const [index, stage] of stages.entries()) {
    const { files, data } = manifest.stages[stage]!;
    const file = await bundle.readVerified(files[format]!);
    const dataFolder = data?.[format] && dirname(await bundle.verify(data[format]));
    const judge = await HeadJudge.create(file, manifest.width, dataFolder);
    const { choose, report, sample } = judged[index]!;
    const best = await chooseMap({ fit: fits[index]!, judge, sample }, choose);
    const own = hasExitMap(file) ? await HeadJudge.ofOwnMap(file, manifest.width, dataFolder) : undefined;
    fitted.push({
      exit: manifest.stages[stage]!.to,
      stage: stage + 1,
      raw: await judge.agreement(identityMap(manifest.width), report),
      fitted: await judge.agreement(best.map, report),
      present: await own?.agreement(undefined, report),
      ...best,
    });
    await judge.close();
    await own?.close();
  }
  await products.close();
  return fitted;
}

/** By exit: rows that choose and rows that are reported. The others go into the fits, text by text; of them only a sample is kept. */
async function collect(
  { bundle: directory, texts, threads = 1, onProgress }: FitOptions,
  format: Format,
  fits: readonly RidgeFit[],
): Promise<Collected[]> {
  const judged = fits.map((): Collected => ({ choose: [], report: [], sample: [] }));
  let sampled = 0;
  const judgedTokens = { choose: 0, report: 0 };
  const bundle = await openBundle(directory);
  const { vocabularySize, width } = bundle.manifest;
  const headNumbers = vocabularySize * width;
  const sampleTokens = Math.min(SAMPLE_TOKENS, SAMPLE_PRODUCTS / headNumbers);
  const judgedTokensMax = Math.min(JUDGED_TOKENS, JUDGED_PRODUCTS / headNumbers);
  const collector = await RowCollector.open(bundle, format, threads);
  for (const [index, tokens] of texts.entries()) {
    const wished = ROLES[index % ROLES.length]!;
    const role = wished !== 'fit' && judgedTokens[wished] >= judgedTokensMax ? 'fit' : wished;
    if (role !== 'fit') judgedTokens[role] += tokens.length;
    const isSample = role === 'fit' && sampled < sampleTokens;
    if (isSample) sampled += tokens.length;
    const { exits, final, logits } = await collector.collect(tokens, role !== 'fit' || isSample);
    const truth = choices(logits, tokens.length);
    for (const [exit, rows] of exits.entries()) {
      if (role === 'fit') await fits[exit]!.add(rows, final);
      else judged[exit]![role].push({ rows, truth });
      if (isSample) judged[exit]!.sample.push({ rows, final, truth });
    }
    onProgress?.(index + 1, texts.length);
  }
  await collector.close();
  return judged;
}

function choices(logits: Float32Array, rows: number): number[] {
  const size = logits.length / rows;
  return Array.from({ length: rows }, (_, row) => argmax(logits.subarray(row * size, (row + 1) * size)));
}

interface Collected {
  choose: JudgedRows[];
  report: JudgedRows[];
  sample: FittedRows[];
}

interface Fitting {
  fit: RidgeFit;
  judge: HeadJudge;
  sample: readonly FittedRows[];
}

type Chosen = Pick<FittedExit, 'map' | 'lambda' | 'rank' | 'steps'>;

/** The best ridge, the steps from there, then what fewer directions of the best of them give: they are fewer numbers to get wrong. */
async function chooseMap({ fit, judge, sample }: Fitting, texts: readonly JudgedRows[]): Promise<Chosen> {
  type Candidate = Chosen & { agreement: number; solution: Solution };
  let best: Candidate | undefined;
  const consider = async (candidate: Omit<Candidate, 'agreement'>) => {
    const agreement = await judge.agreement(candidate.map, texts);
    if (!best || agreement > best.agreement) best = { ...candidate, agreement };
  };
  for (const lambda of LAMBDAS) {
    const solution = fit.solve(lambda);
    await consider({ map: toExitMap(solution), lambda, rank: 'full', steps: 0, solution });
  }
  const stepped = await ridgeSteps(fit, judge, best!, sample);
  const { lambda } = best!;
  for (const [step, solution] of stepped.entries())
    await consider({ map: toExitMap(solution), lambda, rank: 'full', steps: step + 1, solution });
  const { solution, steps } = best!;
  const directions = fit.directions(solution);
  for (const part of RANKS) {
    const rank = Math.max(1, Math.round(part * directions.rows));
    await consider({ map: toExitMap(solution, directions, rank), lambda, rank, steps, solution });
  }
  const { map, rank } = best!;
  return { map, lambda, rank, steps };
}

type Solution = ReturnType<RidgeFit['solve']>;
