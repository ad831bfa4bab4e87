import { type Clock, type FileEntry, type Format, type Manifest, type Random, TandemError } from '@tandem/shared';
import { bytesOnDevice, chooseFormat, deviceFiles } from '../delivery/device-half.js';
import type { LoadProgress } from '../delivery/load-progress.js';
import type { Availability, Storage } from '../platform.js';
import { type BlobStore, MemoryStore } from './blob-store.js';
import { CacheStore } from './cache-store.js';
import { download } from './download.js';
import { OpfsStore } from './opfs-store.js';
import { sha256Of } from './sha256.js';
import { exclusively } from './storage-lock.js';
import { currentManifest, removeStaleFiles } from './stored-manifest.js';

export interface WebBundleOptions {
  /** Address of the bundle's folder. */
  source: string;
  format: Format | undefined;
  /** Those that the runtime likes, the best first. */
  formats: readonly Format[];
  storage: Storage;
  clock: Clock;
  random: Random;
  onProgress(progress: LoadProgress): void;
}

/** A bundle behind an address, and the device's half of it in the browser's storage. */
export class WebBundle {
  readonly manifest: Manifest;
  readonly format: Format;
  readonly store: BlobStore;
  readonly #base: URL;
  readonly #options: WebBundleOptions;
  /** Files whose content was checked since the page was opened. */
  readonly #verified = new Set<string>();

  private constructor(base: URL, manifest: Manifest, store: BlobStore, options: WebBundleOptions) {
    this.#base = base;
    this.#options = options;
    this.manifest = manifest;
    this.store = store;
    this.format = chooseFormat(manifest, options.format, options.formats);
  }

  static async open(options: WebBundleOptions): Promise<WebBundle> {
    options.onProgress({ stage: 'manifest', loadedBytes: 0, totalBytes: 0 });
    const base = folderUrl(options.source);
    const store = await openStore(options.storage);
    return new WebBundle(base, await currentManifest(base, store, options.clock), store, options);
  }

  async availability(): Promise<Availability> {
    for (const entry of deviceFiles(this.manifest, this.format)) {
      if ((await this.store.size(entry.sha256)) === entry.bytes) continue;
      const locks = await navigator.locks?.query();
      const isUnderWay = locks?.held?.some(({ name }) => name === lockName(entry)) ?? false;
      return isUnderWay ? 'downloading' : 'downloadable';
    }
    return 'available';
  }

  /** Fetches what is missing. Tabs that do so at the same time wait for each other, file by file. */
  async download(): Promise<void> {
    const files = deviceFiles(this.manifest, this.format);
    const report = this.#progress();
    let before = 0;
    for (const entry of files) {
      await exclusively(this.store, lockName(entry), async () => {
        if ((await this.store.size(entry.sha256)) === entry.bytes) return report(before + entry.bytes);
        await download({
          ...this.#options,
          url: new URL(entry.file, this.#base),
          entry,
          store: this.store,
          onBytes: (bytes) => report(before + bytes),
        });
        this.#verified.add(entry.sha256);
      });
      before += entry.bytes;
    }
    await removeStaleFiles(this.store);
  }

  /** The content of a file that was downloaded. One that has changed in storage is fetched again. */
  async read(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.store.read(entry.sha256);
    if (this.#verified.has(entry.sha256) || (await sha256Of(bytes)) === entry.sha256) return bytes;
    await this.store.remove(entry.sha256);
    await this.download();
    return await this.store.read(entry.sha256);
  }

  #progress(): (loadedBytes: number) => void {
    const { clock, onProgress } = this.#options;
    const totalBytes = bytesOnDevice(this.manifest, this.format);
    let start: { atMs: number; bytes: number } | undefined;
    return (loadedBytes) => {
      const now = clock.now();
      // The first report is of what was there already: no rate comes of it.
      start ??= { atMs: now, bytes: loadedBytes };
      const elapsedS = (now - start.atMs) / 1000;
      const bytesPerS = elapsedS > 0 ? (loadedBytes - start.bytes) / elapsedS : 0;
      onProgress({ stage: 'download', loadedBytes, totalBytes, bytesPerS });
    };
  }
}

async function openStore(storage: Storage): Promise<BlobStore> {
  const isAuto = storage === 'auto';
  const opfs = isAuto || storage === 'opfs' ? await OpfsStore.open() : undefined;
  const store = opfs ?? (isAuto || storage === 'cache' ? await CacheStore.open() : undefined);
  if (store) return store;
  if (isAuto || storage === 'memory') return new MemoryStore();
  throw new TandemError('INVALID_OPTION', `storage ${storage}, this page has none; it needs https, or storage: 'auto'`);
}

function lockName(entry: FileEntry): string {
  return `tandem ${entry.sha256}`;
}

/** Files are named relative to the folder, so that it must end in a slash. */
function folderUrl(source: string): URL {
  return new URL(source.endsWith('/') ? source : `${source}/`);
}
