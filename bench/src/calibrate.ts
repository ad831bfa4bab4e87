/**
 * What are exit heads worth that were fitted without training, and how long does it take?
 *
 * Per exit of a model the share of tokens on which it names the whole model's choice, on texts that had no part in fitting:
 * raw (the row goes into the model's own norm and head as it is), fitted (`tandem calibrate`: ridge regression in closed form) and,
 * where the model brings them, trained. Models: the embedded one, and stories260K, a published model that was never trained
 * for exits (it lies outside the repository, so it can be missing). Texts: validation stories for stories260K, for the embedded
 * model what it tells by itself at temperature 1.
 *
 * `seconds`, and `cpuSeconds` for machines that have other work: 50,000 tokens of rows 576 wide, in a model of SmolLM2-135M's
 * shape with random weights, everything included.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  checkpointFromWeights,
  encodeLlama2c,
  fitExits,
  importLlama2c,
  importLlama2cPieces,
  prepareBundle,
  readCheckpoint,
  sampleTexts,
} from '@tandem/model-kit';
import { type ModelShape, seededRandom } from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { randomCheckpoint } from './random-model.js';
import { currentCommit, describeMachine, formatColumns } from './report.js';

const EMBEDDED = fileURLToPath(new URL('../../models/tales', import.meta.url));
const DATA = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const VALIDATION = 'corpus/tinystories/v1-valid-first-half.txt';
const STORY_BEGINS = /\n\n(?=Once upon a time)/;
const TEXT_TOKENS = 200;
const SEED = 1;
const TIMED_SHAPE: ModelShape = {
  width: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  feedForward: 1536,
  vocabularySize: 49_152,
  contextLength: 2_048,
  ropeTheta: 100_000,
  normEpsilon: 1e-5,
};

interface Options {
  json?: boolean;
  /** Tokens that each model tells and is fitted on. */
  tokens: number;
  /** Tokens of the timed run; 0 leaves it out. */
  timedTokens: number;
}

export interface FittedRow {
  model: string;
  stage: number;
  exit: number;
  raw: number;
  fitted: number;
  trained?: number;
}

type Checkpoint = Parameters<typeof prepareBundle>[0]['checkpoint'];

export async function benchCalibrate(options: Options): Promise<void> {
  const say = options.json ? () => {} : console.log;
  const exits: FittedRow[] = [];
  const embedded = await readCheckpoint(EMBEDDED);
  exits.push(...(await compare('tales', embedded, [2, 4], (bundle) => tell(bundle, options.tokens))));
  await embedded.close();
  exits.push(...(await comparePublished(options.tokens)));
  say(formatTable(exits));
  const timed = options.timedTokens > 0 ? await timeFit(options.timedTokens) : undefined;
  if (timed) {
    const { seconds, cpuSeconds } = timed;
    say(`\n${options.timedTokens} tokens, 576 wide: ${seconds.toFixed(0)} s, of processors ${cpuSeconds.toFixed(0)} s`);
  }
  const place = { machine: describeMachine(), commit: currentCommit() };
  const { tokens, timedTokens } = options;
  console.log(JSON.stringify({ bench: 'calibrate', ...timed, exits, tokens, timedTokens, seed: SEED, ...place }));
}

/** Nothing, where the files are missing. */
async function comparePublished(tokens: number): Promise<FittedRow[]> {
  const files = ['checkpoints/stories260K/stories260K.bin', 'checkpoints/stories260K/tok512.bin', VALIDATION];
  const [file, pieceFile, text] = await Promise.all(
    files.map((name) => readFile(join(DATA, name)).catch(() => undefined)),
  );
  if (!file || !pieceFile || !text) return [];
  const weights = importLlama2c(file);
  const pieces = importLlama2cPieces(pieceFile, weights.shape.vocabularySize);
  const stories = text.toString('utf8').split(STORY_BEGINS);
  const texts: number[][] = [];
  for (let total = 0; total < tokens && texts.length < stories.length; total += texts.at(-1)!.length)
    texts.push(encodeLlama2c(pieces, stories[texts.length]!).slice(0, TEXT_TOKENS));
  const checkpoint = checkpointFromWeights(weights, { name: 'stories260K', bosTokenId: 1, eosTokenIds: [2] });
  return await compare('stories260K', checkpoint, [1, 2, 3, 4], async () => texts);
}

async function compare(
  model: string,
  checkpoint: Checkpoint,
  exits: number[],
  textsOf: (bundle: string) => Promise<number[][]>,
): Promise<FittedRow[]> {
  return await withBundle(checkpoint, exits, async (bundle) => {
    const fitted = await fitExits({ bundle, texts: await textsOf(bundle) });
    return fitted.map(({ stage, exit, raw, fitted, present }) => ({
      model,
      stage,
      exit,
      raw,
      fitted,
      ...(present === undefined ? {} : { trained: present }),
    }));
  });
}

/** The time does not depend on what the text says. */
async function timeFit(tokens: number): Promise<{ seconds: number; cpuSeconds: number }> {
  return await withBundle(randomCheckpoint(TIMED_SHAPE), [8, 16], async (bundle) => {
    const random = seededRandom(1);
    const text = () =>
      Array.from({ length: TEXT_TOKENS }, () => Math.floor(random.next() * TIMED_SHAPE.vocabularySize));
    const texts = Array.from({ length: tokens / TEXT_TOKENS }, text);
    const startedMs = performance.now();
    const startedCpu = process.cpuUsage();
    await fitExits({ bundle, texts, threads: 2 });
    const { user, system } = process.cpuUsage(startedCpu);
    return { seconds: (performance.now() - startedMs) / 1000, cpuSeconds: (user + system) / 1e6 };
  });
}

async function withBundle<Result>(
  checkpoint: Checkpoint,
  exits: number[],
  work: (bundle: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  try {
    const out = join(folder, 'bundle');
    await prepareBundle({ checkpoint, exits, cut: Math.max(...exits), formats: ['f32'], out });
    return await work(out);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function tell(bundle: string, tokens: number): Promise<number[][]> {
  const { manifest } = await openBundle(bundle);
  const engine = await loadChainEngine({ directory: bundle, format: 'f32', threads: 1, preload: 'all' });
  try {
    return await sampleTexts(engine, manifest, { tokens, textTokens: TEXT_TOKENS, seed: SEED });
  } finally {
    await engine.dispose();
  }
}

function formatTable(rows: readonly FittedRow[]): string {
  const percent = (share?: number) => (share === undefined ? '-' : `${(share * 100).toFixed(1)} %`);
  const lines = rows.map(({ model, exit, raw, fitted, trained }) => [
    model,
    `after layer ${exit}`,
    percent(raw),
    percent(fitted),
    percent(trained),
  ]);
  return formatColumns([['model', 'exit', 'raw', 'fitted', 'trained'], ...lines]);
}
