import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, mkdtemp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type FileEntry, TandemError } from '@tandem/shared';
import { z } from 'zod';
import { type FilePiece, loadPiece } from './onnx/model-file.js';

const JOURNAL_FILE = 'progress.json';

/** So many bytes are written before they are forced to the disk and into the journal. */
const DURABLE_STEP_BYTES = 128 * 1024 * 1024;

const journalSchema = z.strictObject({
  key: z.string(),
  done: z.record(z.string(), z.strictObject({ file: z.string(), bytes: z.int().min(0), sha256: z.string() })),
  /** The file in work and how much of it is on the disk. */
  current: z.strictObject({ file: z.string(), bytes: z.int().min(0) }).nullable(),
});
type Journal = z.infer<typeof journalSchema>;

/**
 * A bundle in the making, in a folder beside its place. With a key it outlives an interruption: whoever comes next with the
 * same key goes on behind the last whole piece.
 */
export class PartialBundle {
  readonly directory: string;
  readonly #journal: Journal;
  readonly #isKept: boolean;

  private constructor(directory: string, journal: Journal, isKept: boolean) {
    this.directory = directory;
    this.#journal = journal;
    this.#isKept = isKept;
  }

  static async open(out: string, key: string | undefined): Promise<PartialBundle> {
    await mkdir(dirname(out), { recursive: true });
    if (key === undefined) {
      const directory = await mkdtemp(join(dirname(out), `.${basename(out)}-`));
      return new PartialBundle(directory, { key: '', done: {}, current: null }, false);
    }
    const directory = join(dirname(out), `.${basename(out)}.partial`);
    const journal = await readJournal(directory);
    if (journal?.key === key) return new PartialBundle(directory, journal, true);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory);
    return new PartialBundle(directory, { key, done: {}, current: null }, true);
  }

  /**
   * Writes a file, or what is missing of it. `onBytes` is told of every piece, those that were there included.
   *
   * @throws TandemError DISK_FULL
   */
  async write(file: string, pieces: readonly FilePiece[], onBytes: (bytes: number) => void): Promise<FileEntry> {
    const known = this.#journal.done[file];
    if (known !== undefined) {
      onBytes(known.bytes);
      return known;
    }
    const hash = createHash('sha256');
    const { index, bytes } = await this.#findWhole(file, pieces, hash);
    onBytes(bytes);
    const handle = await open(join(this.directory, file), bytes > 0 ? 'r+' : 'w');
    try {
      await handle.truncate(bytes);
      const total = await this.#append(file, handle, pieces.slice(index), { hash, bytes, onBytes });
      const entry = { file, bytes: total, sha256: hash.digest('hex') };
      this.#journal.done[file] = entry;
      this.#journal.current = null;
      await this.#save();
      return entry;
    } catch (cause) {
      throw withDiskFull(cause);
    } finally {
      await handle.close();
    }
  }

  /** Puts the last file in, and the folder in its place. */
  async finish(out: string, manifestFile: string, manifest: string): Promise<void> {
    await writeFile(join(this.directory, manifestFile), manifest);
    await rm(join(this.directory, JOURNAL_FILE), { force: true });
    await rm(out, { recursive: true, force: true });
    await rename(this.directory, out);
  }

  /** After a failure: a bundle that can be gone on with stays. */
  async leave(): Promise<void> {
    if (!this.#isKept) await rm(this.directory, { recursive: true, force: true });
  }

  /** How many pieces of a file are on the disk for sure, and their bytes, which go into the hash. */
  async #findWhole(file: string, pieces: readonly FilePiece[], hash: Hash): Promise<{ index: number; bytes: number }> {
    const { current } = this.#journal;
    const durable = current?.file === file ? current.bytes : 0;
    let index = 0;
    let bytes = 0;
    while (index < pieces.length && bytes + pieces[index]!.bytes <= durable) bytes += pieces[index++]!.bytes;
    if (bytes > 0) {
      const kept = createReadStream(join(this.directory, file), { end: bytes - 1, highWaterMark: 1024 * 1024 });
      for await (const chunk of kept) hash.update(chunk);
    }
    return { index, bytes };
  }

  async #append(
    file: string,
    handle: FileHandle,
    pieces: readonly FilePiece[],
    state: { hash: Hash; bytes: number; onBytes: (bytes: number) => void },
  ): Promise<number> {
    let { bytes } = state;
    let durable = bytes;
    for (const piece of pieces) {
      for await (const part of loadPiece(piece)) {
        // The one is the disk's work, the other this thread's.
        const writing = writeFully(handle, part, bytes);
        state.hash.update(part);
        await writing;
        bytes += part.byteLength;
        state.onBytes(part.byteLength);
      }
      if (!this.#isKept || bytes - durable < DURABLE_STEP_BYTES) continue;
      await handle.datasync();
      durable = bytes;
      this.#journal.current = { file, bytes };
      await this.#save();
    }
    await handle.sync();
    return bytes;
  }

  async #save(): Promise<void> {
    if (!this.#isKept) return;
    const path = join(this.directory, JOURNAL_FILE);
    await writeFile(`${path}.new`, JSON.stringify(this.#journal));
    await rename(`${path}.new`, path);
  }
}

async function readJournal(directory: string): Promise<Journal | undefined> {
  const text = await readFile(join(directory, JOURNAL_FILE), 'utf8').catch(() => '');
  try {
    return journalSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function writeFully(handle: FileHandle, part: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < part.length) {
    // One write call takes at most 2 GiB, whatever is asked for.
    const { bytesWritten } = await handle.write(part, done, Math.min(part.length - done, 1 << 30), position + done);
    done += bytesWritten;
  }
}

/** A failure of the file system as what it means to people. */
export function withDiskFull(cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause;
  return new TandemError('DISK_FULL', 'no room is left on the disk; free some and go on with the same command', {
    cause,
  });
}
