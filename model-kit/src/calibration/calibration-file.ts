import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Calibration, calibrationSchema, FORMATS, type Manifest, TandemError } from '@tandem/shared';
import { z } from 'zod';

/** Lies beside the weights of a checkpoint, so that whoever prepares it gets the thresholds without the text behind them. */
export const CALIBRATION_FILE = 'calibration.json';

const fileSchema = z.strictObject({
  version: z.literal(1),
  /** Of the checkpoint that was calibrated, as in the manifest. */
  fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
  exits: z.array(z.int().min(1)).max(64),
  cut: z.int().min(1),
  calibrations: z.array(calibrationSchema).max(FORMATS.length),
});
type CalibrationFile = z.infer<typeof fileSchema>;

/** What a calibration belongs to. */
type CalibratedModel = Pick<Manifest, 'fingerprint' | 'exits' | 'cut'>;

/**
 * The calibration that lies beside a checkpoint's weights, if it was made for exactly these weights, exits and cut; else
 * why it cannot be used.
 *
 * @throws TandemError CHECKPOINT_INVALID when the file cannot be understood
 */
export async function readCalibration(
  directory: string,
  model: CalibratedModel,
): Promise<{ kind: 'none' } | { kind: 'stale'; reason: string } | { kind: 'fits'; calibrations: Calibration[] }> {
  const file = await readFileIfThere(directory);
  if (!file) return { kind: 'none' };
  const reason = mismatch(file, model);
  if (reason === undefined) return { kind: 'fits', calibrations: file.calibrations };
  const what = `${join(directory, CALIBRATION_FILE)} was made for ${reason}`;
  return { kind: 'stale', reason: `${what}; it is left out, run "tandem calibrate" to renew it` };
}

/** Writes calibrations beside a checkpoint's weights; what other formats of the same model have stays. */
export async function writeCalibration(
  directory: string,
  model: CalibratedModel,
  fresh: readonly Calibration[],
): Promise<void> {
  const before = await readCalibration(directory, model).catch(() => ({ kind: 'none' }) as const);
  const kept = before.kind === 'fits' ? before.calibrations : [];
  const { fingerprint, exits, cut } = model;
  const file: CalibrationFile = { version: 1, fingerprint, exits, cut, calibrations: merge(kept, fresh) };
  await replaceJson(join(directory, CALIBRATION_FILE), file);
}

/** `fresh` in place of what is there for the same formats. */
export function merge(before: readonly Calibration[], fresh: readonly Calibration[]): Calibration[] {
  const kept = before.filter(({ format }) => !fresh.some((calibration) => calibration.format === format));
  return [...kept, ...fresh].sort((a, b) => FORMATS.indexOf(a.format) - FORMATS.indexOf(b.format));
}

/** Whole or not at all. */
export async function replaceJson(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.new`, `${JSON.stringify(value, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

async function readFileIfThere(directory: string): Promise<CalibrationFile | undefined> {
  const path = join(directory, CALIBRATION_FILE);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new TandemError('CHECKPOINT_INVALID', `${path} is no calibration; delete it or run "tandem calibrate"`, {
      cause,
    });
  }
}

function mismatch(file: CalibrationFile, model: CalibratedModel): string | undefined {
  if (file.fingerprint !== model.fingerprint) return `other weights (${file.fingerprint.slice(0, 16)})`;
  if (file.exits.join() !== model.exits.join()) return `exits ${file.exits.join(', ')}`;
  if (file.cut !== model.cut) return `a cut at layer ${file.cut}`;
  return undefined;
}
