import type { FileEntry } from '@tandem/shared';
import type { BlobStore } from './blob-store.js';

const PREFIX = 'kernels-';

/**
 * What the check of a stage on these kernels found, kept beside its file: one check is good for all loads, and takes a fifth
 * of one. WebAssembly gives the same bits on every processor; a GPU is known by its name.
 */
export class KernelNote {
  readonly #store: BlobStore;
  readonly #name: string;
  readonly #kernels: string;

  /** `kernels`: name and version of what runs the stage; a note of others does not count. */
  constructor(store: BlobStore, stage: FileEntry, kernels: string) {
    this.#store = store;
    this.#name = PREFIX + stage.sha256;
    this.#kernels = kernels;
  }

  async rowsPerRun(): Promise<number | undefined> {
    if ((await this.#store.size(this.#name)) === 0) return undefined;
    const [kernels, rows] = new TextDecoder().decode(await this.#store.read(this.#name)).split(': ');
    const rowsPerRun = Number(rows);
    return kernels === this.#kernels && Number.isInteger(rowsPerRun) && rowsPerRun > 0 ? rowsPerRun : undefined;
  }

  async keep(rowsPerRun: number): Promise<void> {
    try {
      await this.#store.remove(this.#name);
      await this.#store.append(this.#name, new TextEncoder().encode(`${this.#kernels}: ${rowsPerRun}`));
    } catch {
      // A storage that is full costs the next load its time, no more.
    }
  }
}

/** Name of the file that a note belongs to; `undefined` for what is no note. */
export function notedFile(name: string): string | undefined {
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
}
