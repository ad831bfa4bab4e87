import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { systemClock, TandemError } from '@tandem/shared';
import { z } from 'zod';
import type { Architecture, ModelDescription, TensorSource } from './architectures/architecture.js';
import { eosTokenIds } from './architectures/config-fields.js';
import { findArchitecture } from './architectures/registry.js';
import { type Checkpoint, type CheckpointFile, type TensorName, tensorNames, tensorShape } from './checkpoint.js';
import type { PublishedLines } from './conversion/convert-lines.js';
import { firstTokenId } from './first-token.js';
import { SafetensorsFile } from './safetensors.js';
import { checkTokenizer } from './tokenizer/check-tokenizer.js';

const CONFIG_FILE = 'config.json';
const WEIGHTS_FILE = 'model.safetensors';
const WEIGHTS_INDEX_FILE = 'model.safetensors.index.json';
const EXITS_FILE = 'exits.safetensors';
const TOKENIZER_FILE = 'tokenizer.json';
const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json';
/** Beside `tokenizer.json`; copied where they exist. */
const TOKENIZER_EXTRAS = [TOKENIZER_CONFIG_FILE, 'chat_template.jinja'];

const indexSchema = z.looseObject({
  weight_map: z.record(
    z.string().max(256),
    z
      .string()
      .max(128)
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  ),
});

/**
 * Opens a checkpoint folder in the Hugging Face layout: `config.json`, `model.safetensors` (or its shards with
 * an index), `tokenizer.json` and, made by exit training, `exits.safetensors`.
 *
 * The architecture is checked first; then names and shapes of all tensors, before any of them is read.
 *
 * @throws TandemError CHECKPOINT_INVALID, UNSUPPORTED_ARCHITECTURE
 */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const config = await readJson(join(directory, CONFIG_FILE));
  const architecture = findArchitecture(config);
  const model = architecture.describe(config);
  const generationFile = join(directory, 'generation_config.json');
  const generation = (await exists(generationFile)) ? await readJson(generationFile) : {};
  model.eosTokenIds = [...new Set([...model.eosTokenIds, ...eosTokenIds(generation)])];
  const tokenizer = await readTokenizer(directory);
  model.bosTokenId = firstTokenId(model.bosTokenId, {
    tokenizer: await readJson(join(directory, TOKENIZER_FILE)),
    config: (await exists(join(directory, TOKENIZER_CONFIG_FILE)))
      ? await readJson(join(directory, TOKENIZER_CONFIG_FILE))
      : undefined,
  });
  const files = await openFiles(await weightFiles(directory));
  try {
    const identity = await identityOf([join(directory, CONFIG_FILE), ...files.map(({ path }) => path)], tokenizer);
    return new HuggingFaceCheckpoint({ directory, architecture, model, tokenizer, files, identity });
  } catch (error) {
    await Promise.all(files.map(({ file }) => file.close()));
    throw error;
  }
}

interface OpenFile {
  path: string;
  file: SafetensorsFile;
}

interface CheckpointParts {
  directory: string;
  architecture: Architecture;
  model: ModelDescription;
  tokenizer: CheckpointFile[];
  files: readonly OpenFile[];
  identity: string;
}

class HuggingFaceCheckpoint implements Checkpoint {
  readonly name: string;
  readonly architecture: string;
  readonly shape: ModelDescription['shape'];
  readonly arithmetic: ModelDescription['arithmetic'];
  readonly tiedHead: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly fittedExits: readonly number[];
  readonly tokenizer: readonly CheckpointFile[];
  readonly identity: string;
  readonly #directory: string;
  readonly #architecture: Architecture;
  readonly #model: ModelDescription;
  readonly #files: readonly OpenFile[];

  constructor({ directory, architecture, model, tokenizer, files, identity }: CheckpointParts) {
    this.identity = identity;
    this.#directory = directory;
    this.#architecture = architecture;
    this.#model = model;
    this.#files = files;
    this.name = basename(resolve(directory));
    this.architecture = architecture.modelType;
    this.shape = model.shape;
    this.arithmetic = model.arithmetic;
    // A checkpoint that is not tied by its config but has no head of its own is tied in fact.
    this.tiedHead = model.tiedHead || this.#find('lm_head.weight') === undefined;
    this.bosTokenId = model.bosTokenId;
    this.eosTokenIds = model.eosTokenIds;
    this.tokenizer = tokenizer;
    this.fittedExits = this.#exitLayers();
    for (const tensor of tensorNames(this)) this.#locate(tensor);
  }

  async read(tensor: TensorName): Promise<Float32Array> {
    const { source, file } = this.#locate(tensor);
    const { name, lines, transposed = false, offset = 0 } = source;
    const published = publishedShape(tensorShape(tensor, this.shape, this.arithmetic), source);
    let values: Float32Array;
    if (transposed) values = transpose(await file.read(name, published), published[1]!, lines);
    else values = await file.read(name, published, lines);
    if (offset !== 0) for (let i = 0; i < values.length; i++) values[i] = values[i]! + offset;
    return values;
  }

  async readLines(tensor: TensorName, begin: number, end: number): Promise<PublishedLines | undefined> {
    const { source, file } = this.#locate(tensor);
    const { name, lines, transposed, offset = 0 } = source;
    if (transposed) return undefined;
    const first = lines?.begin ?? 0;
    const published = publishedShape(tensorShape(tensor, this.shape, this.arithmetic), source);
    return { ...(await file.readBytes(name, published, { begin: first + begin, end: first + end })), offset };
  }

  /** Over the bytes of all files that were read, each with its name. */
  async fingerprint(signal?: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    hash.update(CONFIG_FILE).update(await readFile(join(this.#directory, CONFIG_FILE)));
    for (const { file, content } of this.tokenizer) hash.update(file).update(content);
    for (const { path } of this.#files) {
      hash.update(basename(path));
      for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) hash.update(chunk);
    }
    return hash.digest('hex');
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map(({ file }) => file.close()));
  }

  #find(name: string): SafetensorsFile | undefined {
    return this.#files.find(({ file }) => file.shapeOf(name) !== undefined)?.file;
  }

  #exitLayers(): number[] {
    const layers = this.#files
      .flatMap(({ file }) => file.names())
      .map((name) => /^exits\.(\d{1,4})\.weight$/.exec(name)?.[1]);
    return layers
      .filter((layer) => layer !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** Where a tensor lies; it must be there in the shape that the config asks for. */
  #locate(tensor: TensorName): { source: TensorSource; file: SafetensorsFile } {
    const wanted = tensor === 'head' && this.tiedHead ? 'embedding' : tensor;
    const sources = tensor.startsWith('exits.') ? [{ name: tensor }] : this.#architecture.sources(wanted, this.#model);
    for (const source of sources) {
      const file = this.#find(source.name);
      if (file === undefined) continue;
      const shape = file.shapeOf(source.name)!;
      const expected = publishedShape(tensorShape(tensor, this.shape, this.arithmetic), source);
      if (shape.join() !== expected.join()) {
        const message = `${source.name} has shape (${shape.join(', ')}), ${CONFIG_FILE} asks for (${expected.join(', ')})`;
        throw new TandemError('CHECKPOINT_INVALID', message);
      }
      return { source, file };
    }
    throw new TandemError('CHECKPOINT_INVALID', `${this.#directory} has no tensor ${sources[0]!.name}`);
  }
}

/** The dimensions that a tensor has in the published file. */
function publishedShape([outputs, ...rest]: number[], { lines, transposed }: TensorSource): number[] {
  const shape = [lines?.of ?? outputs!, ...rest];
  return transposed ? shape.reverse() : shape;
}

/** `(inputs, outputs)` → `(outputs, inputs)`, or only the outputs `[begin, end)`. */
function transpose(matrix: Float32Array, outputs: number, lines?: { begin: number; end: number }): Float32Array {
  const inputs = matrix.length / outputs;
  const { begin, end } = lines ?? { begin: 0, end: outputs };
  const turned = new Float32Array((end - begin) * inputs);
  for (let output = begin; output < end; output++)
    for (let input = 0; input < inputs; input++)
      turned[(output - begin) * inputs + input] = matrix[input * outputs + output]!;
  return turned;
}

/** Sizes and dates of the large files, the content of the small ones. */
async function identityOf(paths: string[], tokenizer: CheckpointFile[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { size, mtimeMs } = await stat(path);
    hash.update(JSON.stringify([resolve(path), size, mtimeMs]));
  }
  for (const { file, content } of tokenizer) hash.update(file).update(content);
  return hash.digest('hex');
}

async function weightFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  if (await exists(join(directory, WEIGHTS_FILE))) {
    files.push(WEIGHTS_FILE);
  } else {
    const index = indexSchema.safeParse(
      await readJson(join(directory, WEIGHTS_INDEX_FILE), `${WEIGHTS_FILE} or ${WEIGHTS_INDEX_FILE}`),
    );
    if (!index.success)
      throw new TandemError('CHECKPOINT_INVALID', `${WEIGHTS_INDEX_FILE} has no weight_map of tensor and file names`);
    files.push(...[...new Set(Object.values(index.data.weight_map))].sort());
  }
  if (await exists(join(directory, EXITS_FILE))) files.push(EXITS_FILE);
  return files.map((file) => join(directory, file));
}

async function openFiles(paths: string[]): Promise<OpenFile[]> {
  const files: OpenFile[] = [];
  try {
    for (const path of paths) files.push({ path, file: await SafetensorsFile.open(path) });
    return files;
  } catch (error) {
    await Promise.all(files.map(({ file }) => file.close()));
    throw error;
  }
}

async function readTokenizer(directory: string): Promise<CheckpointFile[]> {
  // Looked into only to find damage, or worse, now and not on a device.
  await checkTokenizer(await readJson(join(directory, TOKENIZER_FILE)), systemClock);
  const present: string[] = [TOKENIZER_FILE];
  for (const file of TOKENIZER_EXTRAS) if (await exists(join(directory, file))) present.push(file);
  return await Promise.all(present.map(async (file) => ({ file, content: await readFile(join(directory, file)) })));
}

async function readJson(path: string, wanted = basename(path)): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TandemError('CHECKPOINT_INVALID', `no ${wanted} in ${resolve(path, '..')}; name a checkpoint folder`, {
      cause,
    });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TandemError('CHECKPOINT_INVALID', `${path} is not JSON`, { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
