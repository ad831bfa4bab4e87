import type { BlobStore } from './blob-store.js';

const FOLDER = 'tandem';

/** Workers only, as the rest of this file; TypeScript lists it among the worker's types, which exclude the page's. */
interface SyncAccessHandle {
  getSize(): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}

/** The origin private file system: files on disk that only this origin sees, appended to in place. */
export class OpfsStore implements BlobStore {
  readonly kind = 'opfs';
  readonly #folder: FileSystemDirectoryHandle;

  private constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  /** `undefined` where the browser has none, or not here. */
  static async open(): Promise<OpfsStore | undefined> {
    try {
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle(FOLDER, { create: true });
      return new OpfsStore(folder);
    } catch {
      return undefined;
    }
  }

  async size(name: string): Promise<number> {
    return (await this.#file(name))?.size ?? 0;
  }

  async append(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const handle = await this.#folder.getFileHandle(name, { create: true });
    if (!('createSyncAccessHandle' in handle)) return await appendInCopy(handle, bytes);
    const file = await (handle as unknown as { createSyncAccessHandle(): Promise<SyncAccessHandle> })
      // A writable stream would copy the whole file for every piece.
      .createSyncAccessHandle();
    try {
      const at = file.getSize();
      for (let written = 0; written < bytes.length; ) {
        written += file.write(bytes.subarray(written), { at: at + written });
      }
      file.flush();
    } finally {
      file.close();
    }
  }

  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const file = await this.#file(name);
    return file ? new Uint8Array(await file.arrayBuffer()) : new Uint8Array(0);
  }

  async remove(name: string): Promise<void> {
    await this.#folder.removeEntry(name).catch(ignoreMissing);
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    // Typed as part of the asynchronous iteration of the DOM.
    for await (const name of this.#folder.keys()) names.push(name);
    return names;
  }

  async #file(name: string): Promise<File | undefined> {
    const handle = await this.#folder.getFileHandle(name).catch(ignoreMissing);
    return await handle?.getFile();
  }
}

/** Shared workers have only this. Good for notes; files of a model are fetched by a dedicated worker. */
async function appendInCopy(handle: FileSystemFileHandle, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const position = (await handle.getFile()).size;
  const copy = await handle.createWritable({ keepExistingData: true });
  await copy.write({ type: 'write', position, data: bytes });
  await copy.close();
}

function ignoreMissing(cause: unknown): undefined {
  if (cause instanceof DOMException && cause.name === 'NotFoundError') return undefined;
  throw cause;
}
