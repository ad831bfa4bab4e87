import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { TandemError } from '@tandem/shared';
import { z } from 'zod';
import { ELEMENT_BYTES, type ElementType, toFloats } from './conversion/convert-lines.js';

/** A header of 16 MiB describes some 100,000 tensors; a larger claim is damage or an attack on our memory. */
export const SAFETENSORS_HEADER_BYTES_MAX = 16 * 1024 * 1024;

const LENGTH_BYTES = 8;

const entrySchema = z.strictObject({
  dtype: z.string().max(16),
  shape: z.array(z.int().min(0)).max(8),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

interface TensorEntry {
  dtype: string;
  shape: number[];
  /** Bytes of the file. */
  begin: number;
  end: number;
}

/**
 * Reads one safetensors file, tensor by tensor, without holding it in memory.
 *
 * Layout: `u64 header length (little endian) | JSON header | data`; the header maps names to dtype, shape and byte range.
 * Everything in it is checked against the file before any tensor is read.
 */
export class SafetensorsFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #entries: ReadonlyMap<string, TensorEntry>;

  private constructor(path: string, handle: FileHandle, entries: ReadonlyMap<string, TensorEntry>) {
    this.#path = path;
    this.#handle = handle;
    this.#entries = entries;
  }

  /** @throws TandemError CHECKPOINT_INVALID */
  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path).catch((cause: unknown) => {
      throw invalid(path, 'cannot be opened', cause);
    });
    try {
      return new SafetensorsFile(path, handle, await readHeader(path, handle));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  /** The dimensions of a tensor, or undefined where there is none of that name. */
  shapeOf(name: string): readonly number[] | undefined {
    return this.#entries.get(name)?.shape;
  }

  /**
   * Reads a tensor of f32, f16 or bf16 as f32; with `lines`, only `[begin, end)` of its first dimension.
   *
   * @throws TandemError CHECKPOINT_INVALID when it is missing, of another type or shape, or cut short
   */
  async read(name: string, shape: readonly number[], lines?: { begin: number; end: number }): Promise<Float32Array> {
    const { bytes, type } = await this.readBytes(name, shape, lines);
    return toFloats(bytes, type);
  }

  /** The same as it lies in the file. */
  async readBytes(
    name: string,
    shape: readonly number[],
    lines?: { begin: number; end: number },
  ): Promise<{ bytes: Uint8Array; type: ElementType }> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw invalid(this.#path, `has no tensor ${name}`);
    if (entry.shape.join() !== shape.join()) {
      throw invalid(
        this.#path,
        `${name} has shape (${entry.shape.join(', ')}), the config asks for (${shape.join(', ')})`,
      );
    }
    if (!(entry.dtype in ELEMENT_BYTES)) {
      throw invalid(
        this.#path,
        `${name} has type ${entry.dtype}; supported are ${Object.keys(ELEMENT_BYTES).join(', ')}`,
      );
    }
    const lineBytes = (entry.end - entry.begin) / (shape[0] ?? 1);
    const begin = (lines?.begin ?? 0) * lineBytes;
    // Of its own, so that it can be handed to another thread; not zeroed, since it is read whole or not at all.
    const bytes = Buffer.allocUnsafeSlow(lines ? (lines.end - lines.begin) * lineBytes : entry.end - entry.begin);
    await readFully(this.#path, this.#handle, bytes, entry.begin + begin);
    return { bytes, type: entry.dtype as ElementType };
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function readHeader(path: string, handle: FileHandle): Promise<Map<string, TensorEntry>> {
  const { size } = await handle.stat();
  if (size < LENGTH_BYTES) throw invalid(path, `has ${size} bytes, less than a header`);
  const lengthBytes = new Uint8Array(LENGTH_BYTES);
  await readFully(path, handle, lengthBytes, 0);
  const length = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
  const limit = Math.min(SAFETENSORS_HEADER_BYTES_MAX, size - LENGTH_BYTES);
  if (length > limit) throw invalid(path, `claims a header of ${length} bytes, limit ${limit}`);
  const headerBytes = new Uint8Array(length);
  await readFully(path, handle, headerBytes, LENGTH_BYTES);
  return parseHeader(path, headerBytes, LENGTH_BYTES + length, size);
}

function parseHeader(path: string, bytes: Uint8Array, dataBegin: number, fileBytes: number): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(parseObject(path, bytes))) {
    if (name === '__metadata__') continue;
    const parsed = entrySchema.safeParse(value);
    if (!parsed.success) throw invalid(path, `the header entry of ${shorten(name)} is not a tensor`);
    const { dtype, shape, data_offsets } = parsed.data;
    const entry = { dtype, shape, begin: dataBegin + data_offsets[0], end: dataBegin + data_offsets[1] };
    checkRange(path, name, entry);
    entries.set(name, entry);
  }
  checkCoverage(path, [...entries.values()], dataBegin, fileBytes);
  return entries;
}

function parseObject(path: string, bytes: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(path, 'has a header that is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, 'has a header that is not an object');
  return value;
}

/** A tensor's byte range must be as long as its shape says. Types that we do not read only need an ordered range. */
function checkRange(path: string, name: string, entry: TensorEntry): void {
  const elements = entry.shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements * 8)) throw invalid(path, `${shorten(name)} claims ${elements} numbers`);
  const elementBytes = ELEMENT_BYTES[entry.dtype as ElementType];
  const bytes = entry.end - entry.begin;
  if (bytes < 0) throw invalid(path, `${shorten(name)} ends before it begins`);
  if (elementBytes !== undefined && bytes !== elements * elementBytes) {
    throw invalid(path, `${shorten(name)} has ${bytes} bytes, its shape asks for ${elements * elementBytes}`);
  }
}

/** The format forbids overlaps and holes: bytes that two tensors share, or none claims, mean a damaged header. */
function checkCoverage(path: string, entries: TensorEntry[], dataBegin: number, fileBytes: number): void {
  let position = dataBegin;
  for (const entry of entries.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== position) throw invalid(path, `has tensors that overlap or leave a hole at byte ${position}`);
    position = entry.end;
  }
  if (position !== fileBytes)
    throw invalid(path, `has ${fileBytes} bytes, its header describes ${position}; is the download complete?`);
}

async function readFully(path: string, handle: FileHandle, target: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < target.length) {
    // One read call returns at most 2 GiB, whatever is asked for.
    const { bytesRead } = await handle.read(target, done, Math.min(target.length - done, 1 << 30), position + done);
    if (bytesRead === 0) throw invalid(path, `ends at byte ${position + done}`);
    done += bytesRead;
  }
}

function shorten(name: string): string {
  return name.length > 80 ? `${name.slice(0, 80)}…` : name;
}

function invalid(path: string, what: string, cause?: unknown): TandemError {
  return new TandemError('CHECKPOINT_INVALID', `${basename(path)} ${what}`, { cause });
}
