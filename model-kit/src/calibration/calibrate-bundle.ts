import { createHash } from 'node:crypto';
import {
  CALIBRATED_POLICY_NAMES,
  type Calibration,
  type Format,
  type Manifest,
  type RowCodecName,
  TandemError,
} from '@tandem/shared';
import { loadChainEngine, openBundle } from '@tandem/shared/node';
import { calibrateThresholds } from './calibrate-thresholds.js';
import type { ObservedText } from './observed-text.js';
import { Observer } from './observer.js';
import { cutText } from './text-file.js';
import { type ToldText, tellTexts } from './told-text.js';

export interface CalibrateOptions {
  /** Folder of the bundle. */
  bundle: string;
  /** Default: all of the bundle. */
  formats?: readonly Format[];
  source: TextSource;
  /** Default 0.001, 0.005, 0.01, 0.02, 0.05. */
  epsilons?: readonly number[];
  /** Default 0.05. */
  delta?: number;
  /** Default 1: the steps of a small model are too short to share. */
  threads?: number;
  onProgress?: (what: 'tell' | 'observe', done: number, total: number) => void;
}

/** Texts of token ids, or how many the model is to tell by itself. */
export type TextSource =
  | { kind: 'texts'; name: string; texts: readonly (readonly number[])[] }
  | { kind: 'told'; texts: number; seed: number };

export interface CalibrationResult {
  calibration: Calibration;
  /** Share settled on the device, on the texts that the thresholds were tested on: a preview, not a report. */
  settled: readonly { policy: string; epsilon: number; settled: number }[];
}

/** As a session's default. */
const CODEC: RowCodecName = 'f16';
const EPSILONS = [0.001, 0.005, 0.01, 0.02, 0.05];
const DELTA = 0.05;
/** Told texts are independent draws as they are; each counts as one. What exits get wrong hardly changes along a text, so short ones do. */
const TOLD_TOKENS = 50;
/**
 * A file has too few texts for that (three thousand would be needed to show 0.1 %). Its texts are cut into blocks that count
 * as draws, although those of one text are a little alike; tests/long/calibration.test.ts shows that the promise holds.
 */
const BLOCK_TOKENS = 32;
const TEXTS_MIN = 20;

/**
 * Calibrates a bundle for its formats. Texts are told once, in the first of them, and observed in each.
 *
 * @throws TandemError INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, ENGINE_UNAVAILABLE
 */
export async function calibrateBundle(options: CalibrateOptions): Promise<CalibrationResult[]> {
  const { manifest } = await openBundle(options.bundle);
  checkOptions(options, manifest);
  let texts: readonly ToldText[] | undefined;
  const results: CalibrationResult[] = [];
  for (const format of options.formats ?? manifest.formats) {
    const threads = options.threads ?? 1;
    const engine = await loadChainEngine({ directory: options.bundle, format, threads, preload: 'all' });
    try {
      texts ??= await readTexts(options, manifest, engine);
      const observer = new Observer(engine, manifest, CODEC);
      const observed: ObservedText[] = [];
      for (const { tokens, first } of texts) {
        observed.push(await observer.observe(tokens, first));
        options.onProgress?.('observe', observed.length, texts.length);
      }
      results.push(calibrateFormat(options, format, texts, observed));
    } finally {
      await engine.dispose();
    }
  }
  return results;
}

function checkOptions({ source, delta = DELTA, epsilons = EPSILONS }: CalibrateOptions, manifest: Manifest): void {
  if (manifest.exits.length === 0) {
    throw new TandemError('INVALID_OPTION', `${manifest.name} has no exits to calibrate; prepare it with --exits`);
  }
  if (source.kind === 'told') checkCount(source.texts);
  const share = [delta, ...epsilons].find((value) => !(value > 0 && value < 1));
  if (share !== undefined)
    throw new TandemError('INVALID_OPTION', `epsilon or delta ${share}; both lie between 0 and 1`);
}

function checkCount(texts: number): void {
  if (texts >= TEXTS_MIN) return;
  throw new TandemError('INVALID_OPTION', `${texts} texts to calibrate on; give at least ${TEXTS_MIN}`);
}

type Telling = Parameters<typeof tellTexts>[0];

async function readTexts({ source, onProgress }: CalibrateOptions, manifest: Manifest, engine: Telling) {
  if (source.kind === 'texts') {
    const pieces = source.texts.flatMap((text) => cutText(text, manifest));
    checkCount(pieces.length);
    return pieces;
  }
  return await tellTexts(engine, manifest, {
    ...source,
    tokens: TOLD_TOKENS,
    codec: CODEC,
    onText: (done) => onProgress?.('tell', done, source.texts),
  });
}

function calibrateFormat(
  { source, delta = DELTA, epsilons = EPSILONS }: CalibrateOptions,
  format: Format,
  texts: readonly ToldText[],
  observed: readonly ObservedText[],
): CalibrationResult {
  const unitTokensMax = source.kind === 'told' ? TOLD_TOKENS : BLOCK_TOKENS;
  const found = CALIBRATED_POLICY_NAMES.flatMap((policy) =>
    calibrateThresholds(observed, policy, { epsilons, delta, unitTokensMax }).map((result) => ({ policy, ...result })),
  );
  return {
    calibration: {
      format,
      codec: CODEC,
      text: {
        name: source.kind === 'texts' ? source.name : `told by the model, seed ${source.seed}`,
        sha256: hashTexts(texts),
        texts: texts.length,
        tokens: observed.reduce((sum, { truth }) => sum + truth.length, 0),
      },
      delta,
      policies: found.map(({ policy, epsilon, thresholds }) => ({ policy, epsilon, thresholds })),
    },
    settled: found.map(({ policy, epsilon, settled }) => ({ policy, epsilon, settled })),
  };
}

function hashTexts(texts: readonly ToldText[]): string {
  const hash = createHash('sha256');
  for (const { tokens } of texts) hash.update(Buffer.from(Int32Array.from(tokens).buffer));
  return hash.digest('hex');
}
