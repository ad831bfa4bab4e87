import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TandemError } from '../errors.js';
import type { Format } from '../model/format.js';
import { type FileEntry, type Manifest, parseManifest } from '../model/manifest.js';
import { batchGraph } from '../stage/batch-graph.js';
import { OnnxBatch } from '../stage/onnx-batch.js';
import { createOnnxStageModel } from '../stage/onnx-stage-model.js';
import { onnxStageShape } from '../stage/onnx-stage-shape.js';
import { residentGraph } from '../stage/resident-graph.js';
import type { StageBatch, StageModel } from '../stage/stage.js';
import { CouplingOperators } from './coupling-operators.js';
import { loadOnnxRuntime, onnxSessionOptions, type SessionOptions } from './onnxruntime.js';

export const MANIFEST_FILE = 'manifest.json';

/** A manifest is a few kilobytes; a larger file is something else. */
const MANIFEST_BYTES_MAX = 1024 * 1024;

/** An opened bundle folder. Nothing but the manifest has been read yet. */
export class Bundle {
  readonly directory: string;
  readonly manifest: Manifest;

  constructor(directory: string, manifest: Manifest) {
    this.directory = directory;
    this.manifest = manifest;
  }

  /** @throws TandemError BUNDLE_CORRUPT */
  get tokenizerFile(): FileEntry {
    const entry = this.manifest.tokenizer.find(({ file }) => file === 'tokenizer.json');
    if (entry) return entry;
    throw new TandemError('BUNDLE_CORRUPT', `${this.directory} lists no tokenizer.json; prepare the bundle again`);
  }

  /**
   * Compares size and sha256 of a file with the manifest, in constant memory.
   *
   * @param watch sees every piece of it
   * @returns the path of the file
   * @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT
   */
  async verify(entry: FileEntry, watch?: { update(piece: Buffer): void }): Promise<string> {
    const path = join(this.directory, entry.file);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
        hash.update(chunk);
        watch?.update(chunk);
        bytes += chunk.length;
      }
    } catch (cause) {
      throw fileMissing(path, cause);
    }
    checkFile(path, entry, bytes, hash.digest('hex'));
    return path;
  }

  /**
   * Reads a file whole and compares size and sha256 with the manifest.
   *
   * @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT
   */
  async readVerified(entry: FileEntry): Promise<Uint8Array> {
    const path = join(this.directory, entry.file);
    const content = await readFile(path).catch((cause: unknown) => {
      throw fileMissing(path, cause);
    });
    checkFile(path, entry, content.length, createHash('sha256').update(content).digest('hex'));
    return content;
  }
}

/**
 * Opens a bundle folder by its manifest.
 *
 * @throws TandemError BUNDLE_NOT_FOUND when there is no manifest, BUNDLE_CORRUPT when it cannot be understood
 */
export async function openBundle(directory: string): Promise<Bundle> {
  const path = join(directory, MANIFEST_FILE);
  const content = await readFile(path).catch((cause: unknown) => {
    const message = `${path} cannot be read; name a folder made by "tandem prepare"`;
    throw new TandemError('BUNDLE_NOT_FOUND', message, { cause });
  });
  if (content.length > MANIFEST_BYTES_MAX) {
    throw new TandemError(
      'BUNDLE_CORRUPT',
      `${path} has ${content.length} bytes, limit ${MANIFEST_BYTES_MAX}; prepare the bundle again`,
    );
  }
  return new Bundle(directory, parseManifest(parseJson(path, content)));
}

/**
 * Verifies one stage file and loads it into onnxruntime-node.
 *
 * @param format must be one of `bundle.manifest.formats`
 * @throws TandemError INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, ROWS_COUPLED, ENGINE_UNAVAILABLE
 */
export async function loadStage(
  bundle: Bundle,
  index: number,
  format: Format,
  options: SessionOptions = {},
): Promise<StageModel> {
  const { entry, data } = stageFiles(bundle, index, format);
  const runtime = await loadOnnxRuntime();
  const operators = new CouplingOperators();
  const path = await bundle.verify(entry, operators);
  if (operators.found) throw rowsCoupled(path, operators.found);
  const shape = onnxStageShape(bundle.manifest, index);
  const refused = refusal(entry, options);
  if (options.device === 'webgpu') {
    if (data) refused(new Error('its weights lie in a file of their own, which a changed graph cannot name'));
    const graph = residentGraph(await bundle.readVerified(entry), shape);
    const creating = runtime.InferenceSession.create(graph.model, onnxSessionOptions(options, graph));
    return await createOnnxStageModel(runtime, await creating.catch(refused), shape, { memory: 'gpu' });
  }
  if (data !== undefined) await bundle.verify(data);
  const session = await runtime.InferenceSession.create(path, onnxSessionOptions(options)).catch(refused);
  return await createOnnxStageModel(runtime, session, shape);
}

/**
 * Loads the same stage once more, for the rows of `slots` sessions at once: takes the memory of its weights again.
 *
 * @returns undefined where the graph cannot be changed, as its weights lie in a file of their own
 * @throws as `loadStage` does
 */
export async function loadStageBatch(
  bundle: Bundle,
  index: number,
  format: Format,
  slots: number,
  options: SessionOptions = {},
): Promise<StageBatch | undefined> {
  const { entry, data } = stageFiles(bundle, index, format);
  if (data) return undefined;
  const runtime = await loadOnnxRuntime();
  const graph = batchGraph(await bundle.readVerified(entry), slots);
  const creating = runtime.InferenceSession.create(graph, onnxSessionOptions(options));
  const session = await creating.catch(refusal(entry, options));
  return new OnnxBatch({ runtime, session, shape: onnxStageShape(bundle.manifest, index), slots });
}

function stageFiles({ manifest }: Bundle, index: number, format: Format): { entry: FileEntry; data?: FileEntry } {
  const stage = manifest.stages[index];
  if (stage === undefined) {
    throw new TandemError('INVALID_OPTION', `stage ${index}, the bundle has stages 0 to ${manifest.stages.length - 1}`);
  }
  const entry = stage.files[format];
  if (entry === undefined) {
    const message = `format ${format}, the bundle has ${manifest.formats.join(', ')}; choose one or prepare it with --format ${format}`;
    throw new TandemError('INVALID_OPTION', message);
  }
  const data = stage.data?.[format];
  return { entry, ...(data ? { data } : {}) };
}

function refusal({ file }: FileEntry, { device }: SessionOptions): (cause: unknown) => never {
  return (cause) => {
    const where = device === 'cpu' || device === undefined ? '' : ` on ${device}`;
    const message = `onnxruntime-node cannot load ${file}${where}; prepare the bundle with this version of Tandem`;
    throw new TandemError('ENGINE_UNAVAILABLE', message, { cause });
  };
}

function parseJson(path: string, content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch (cause) {
    throw new TandemError('BUNDLE_CORRUPT', `${path} is not JSON; prepare the bundle again`, { cause });
  }
}

function checkFile(path: string, entry: FileEntry, bytes: number, sha256: string): void {
  if (bytes !== entry.bytes) {
    throw new TandemError(
      'BUNDLE_CORRUPT',
      `${path} has ${bytes} bytes, the manifest says ${entry.bytes}; copy or prepare the bundle again`,
    );
  }
  if (sha256 !== entry.sha256) {
    const message = `${path} has sha256 ${sha256}, the manifest says ${entry.sha256}; copy or prepare the bundle again`;
    throw new TandemError('BUNDLE_CORRUPT', message);
  }
}

function rowsCoupled(path: string, operator: string): TandemError {
  const message = `${path} has the operator ${operator}, whose result for one row depends on the rows beside it; quantise with static scales or by blocks, as "tandem prepare" does`;
  return new TandemError('ROWS_COUPLED', message);
}

function fileMissing(path: string, cause: unknown): TandemError {
  return new TandemError('BUNDLE_NOT_FOUND', `${path} cannot be read; copy or prepare the bundle again`, {
    cause,
  });
}
