import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  BUNDLE_VERSION,
  type FileEntry,
  FORMATS,
  type Format,
  type Manifest,
  type ManifestStage,
  parseManifest,
  TandemError,
} from '@tandem/shared';
import { MANIFEST_FILE } from '@tandem/shared/node';
import { type PlannedFile, planFiles, planStages } from './bundle-plan.js';
import { readCalibration } from './calibration/calibration-file.js';
import type { Checkpoint } from './checkpoint.js';
import { chooseConverter } from './conversion/converter.js';
import { readCheckpoint } from './huggingface-checkpoint.js';
import { PartialBundle } from './partial-bundle.js';
import { withContextLength } from './shorter-context.js';
import { splitSingleKvHead } from './single-kv-head.js';

export interface PrepareOptions {
  /** Folder of a checkpoint, or one already read (which the caller closes). */
  checkpoint: string | Checkpoint;
  /** Layers after which the device can stop; none after the cut. Default: those with a fitted exit map, up to the cut. */
  exits?: readonly number[];
  /** Layer at which the cloud takes over, in `[1, layers)`. Default: the last exit. */
  cut?: number;
  /** The first is the default of those who open the bundle. */
  formats: readonly Format[];
  /** Positions that the bundle is made for. Its position tables grow with it. Default: the model's. */
  contextLength?: number;
  /** Folder of the bundle. It must not exist yet, be empty, or be a bundle, which is replaced. */
  out: string;
  /** Default: the name of the checkpoint. */
  name?: string;
  /**
   * Whether an interrupted run leaves what it has written, for the next one with the same options to go on with. Needs a
   * checkpoint folder. Default false.
   */
  resume?: boolean;
  /** Threads that convert weights, 1 to 16. Default: one per core for large models, none for small ones. */
  threads?: number;
  /** Weights of a stage above this go into a file of their own. Default: what an ONNX file holds, 2 GiB. */
  inlineWeightBytesMax?: number;
  onProgress?: (progress: PrepareProgress) => void;
  /** Told of a calibration beside the checkpoint that belongs to something else and is left out. */
  onWarning?: (message: string) => void;
  signal?: AbortSignal;
}

export interface PrepareProgress {
  file: string;
  /** Of all files so far, those of an earlier run included. */
  writtenBytes: number;
  totalBytes: number;
  filesDone: number;
  filesTotal: number;
}

/**
 * Writes a bundle from a checkpoint.
 *
 * Everything goes into a temporary folder beside `out`, which is renamed when the manifest, the last file, is there: a
 * bundle exists whole or not at all.
 *
 * @throws TandemError INVALID_OPTION, CHECKPOINT_INVALID, UNSUPPORTED_ARCHITECTURE, ABORTED
 */
export async function prepareBundle(options: PrepareOptions): Promise<Manifest> {
  checkFormats(options.formats);
  const source = typeof options.checkpoint === 'string' ? await readCheckpoint(options.checkpoint) : options.checkpoint;
  try {
    const checkpoint = withContextLength(splitSingleKvHead(source), options.contextLength);
    const boundaries = chooseBoundaries(checkpoint, options);
    const stages = planStages(checkpoint.shape.layers, boundaries.exits, boundaries.cut);
    const settled: SettledOptions = { ...options, ...boundaries };
    const out = resolve(options.out);
    await checkTarget(out);
    const partial = await PartialBundle.open(out, options.resume ? resumeKey(checkpoint, settled) : undefined);
    const converter = chooseConverter(checkpoint.shape, options.threads);
    try {
      const planned = planFiles(checkpoint, stages, settled, converter);
      // Side by side: the fingerprint is another pass over the whole checkpoint.
      const manifest = await withFingerprint(checkpoint, options.signal, (fingerprint) =>
        writeFiles(partial, planned, checkpoint, fingerprint, settled),
      );
      await partial.finish(out, MANIFEST_FILE, `${JSON.stringify(manifest, null, 2)}\n`);
      return manifest;
    } catch (error) {
      await partial.leave();
      throw error;
    } finally {
      await converter.dispose();
    }
  } finally {
    if (typeof options.checkpoint === 'string') await source.close();
  }
}

type SettledOptions = PrepareOptions & { exits: number[]; cut: number };

function checkFormats(formats: readonly Format[]): void {
  const known = formats.every((format) => FORMATS.includes(format));
  if (formats.length === 0 || !known || new Set(formats).size !== formats.length) {
    throw new TandemError(
      'INVALID_OPTION',
      `formats "${formats.join(',')}"; name some of ${FORMATS.join(', ')}, each once`,
    );
  }
}

function chooseBoundaries(checkpoint: Checkpoint, options: PrepareOptions): { exits: number[]; cut: number } {
  const { layers } = checkpoint.shape;
  const cut = options.cut ?? Math.max(...(options.exits ?? checkpoint.fittedExits));
  if (!Number.isFinite(cut))
    throw new TandemError('INVALID_OPTION', 'no cut and no exits; give --cut, the layer at which the cloud takes over');
  if (!Number.isInteger(cut) || cut < 1 || cut >= layers) {
    throw new TandemError('INVALID_OPTION', `cut ${cut}; the model has ${layers} layers, choose 1 to ${layers - 1}`);
  }
  const exits = [...(options.exits ?? checkpoint.fittedExits.filter((layer) => layer <= cut))];
  const wrong = exits.find((layer) => !Number.isInteger(layer) || layer < 1 || layer > cut);
  if (wrong !== undefined)
    throw new TandemError('INVALID_OPTION', `exit ${wrong}; exits lie before the cut, choose 1 to ${cut}`);
  return { exits: [...new Set(exits)].sort((a, b) => a - b), cut };
}

/** Refuses to replace anything that is not a bundle. */
async function checkTarget(out: string): Promise<void> {
  const entries = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw new TandemError('INVALID_OPTION', `${out} is not a folder; name a new one`, { cause: error });
  });
  if (entries.length > 0 && !entries.includes(MANIFEST_FILE)) {
    throw new TandemError('INVALID_OPTION', `${out} is not empty and not a bundle; name a new folder`);
  }
}

/** Options that decide what is written, and the files that it is made of as they are now. */
function resumeKey(
  checkpoint: Checkpoint,
  { exits, cut, formats, name, contextLength }: SettledOptions,
): string | undefined {
  if (checkpoint.identity === undefined) return undefined;
  const parts = [BUNDLE_VERSION, checkpoint.identity, exits, cut, formats, name, contextLength];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Does `work` while the fingerprint is computed, which stops where the work fails. */
async function withFingerprint<T>(
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
  work: (fingerprint: Promise<string>) => Promise<T>,
): Promise<T> {
  const end = new AbortController();
  const fingerprint = checkpoint.fingerprint(signal === undefined ? end.signal : AbortSignal.any([signal, end.signal]));
  // The work awaits it last; until then a failure must not count as unhandled.
  fingerprint.catch(() => {});
  try {
    return await work(fingerprint);
  } finally {
    end.abort();
  }
}

async function writeFiles(
  partial: PartialBundle,
  planned: PlannedFile[],
  checkpoint: Checkpoint,
  fingerprinting: Promise<string>,
  options: SettledOptions,
): Promise<Manifest> {
  const totalBytes = planned.flatMap(({ pieces }) => pieces).reduce((sum, { bytes }) => sum + bytes, 0);
  const progress: PrepareProgress = { file: '', writtenBytes: 0, totalBytes, filesDone: 0, filesTotal: planned.length };
  const stages = new Set<ManifestStage>();
  const tokenizer: FileEntry[] = [];
  for (const { file, pieces, stage, kind, format } of planned) {
    const entry = await partial.write(file, pieces, (bytes) => {
      checkAborted(options.signal);
      progress.writtenBytes += bytes;
      options.onProgress?.({ ...progress, file });
    });
    progress.filesDone++;
    options.onProgress?.({ ...progress, file });
    if (stage === undefined) tokenizer.push(entry);
    else if (kind === 'files') stage.files[format!] = entry;
    else stage.data = { ...stage.data, [format!]: entry };
    if (stage !== undefined) stages.add(stage);
  }
  checkAborted(options.signal);
  const fingerprint = await fingerprinting;
  const calibration = await findCalibration(fingerprint, options);
  const manifest = describe(checkpoint, fingerprint, { stages: [...stages], tokenizer, ...calibration }, options);
  checkAborted(options.signal);
  return manifest;
}

/** What `tandem calibrate` left beside the checkpoint, for the formats of this bundle. */
async function findCalibration(fingerprint: string, options: SettledOptions): Promise<Pick<Manifest, 'calibration'>> {
  if (typeof options.checkpoint !== 'string') return {};
  const { exits, cut, formats } = options;
  const found = await readCalibration(options.checkpoint, { fingerprint, exits, cut });
  if (found.kind === 'stale') options.onWarning?.(found.reason);
  if (found.kind !== 'fits') return {};
  const calibration = found.calibrations.filter(({ format }) => formats.includes(format));
  return calibration.length > 0 ? { calibration } : {};
}

function describe(
  checkpoint: Checkpoint,
  fingerprint: string,
  files: Pick<Manifest, 'stages' | 'tokenizer' | 'calibration'>,
  options: SettledOptions,
): Manifest {
  const manifest: Manifest = {
    version: BUNDLE_VERSION,
    name: options.name ?? checkpoint.name,
    architecture: checkpoint.architecture ?? 'llama',
    fingerprint,
    ...checkpoint.shape,
    tiedHead: checkpoint.tiedHead,
    bosTokenId: checkpoint.bosTokenId,
    eosTokenIds: [...checkpoint.eosTokenIds],
    exits: options.exits,
    cut: options.cut,
    formats: [...options.formats],
    ...files,
  };
  // Whoever opens the bundle will parse it: better to fail here.
  return parseManifest(manifest);
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TandemError('ABORTED', 'the bundle was not written', { cause: signal.reason });
}
