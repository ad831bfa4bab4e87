import { type Clock, type FileEntry, limits, type Random, TandemError } from '@tandem/shared';
import { type BlobStore, concatenate } from './blob-store.js';
import { type Hash, startSha256 } from './sha256.js';

export interface DownloadOptions {
  url: URL;
  entry: FileEntry;
  store: BlobStore;
  clock: Clock;
  random: Random;
  /** Told how many bytes of the file are there. */
  onBytes(bytes: number): void;
}

/**
 * Fetches one file into the store under its sha256, hashing as it comes. What is there already is not fetched again: the
 * request asks for the rest. A connection that breaks is tried again as long as each try brings something.
 *
 * @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED, STORAGE_FULL
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { entry, store } = options;
  const isResumed = (await store.size(entry.sha256)) > 0;
  const found = await fetchAll(options);
  if (found === entry.sha256) return;
  // What was stored before may be what is wrong: once more from the start.
  await store.remove(entry.sha256);
  if (isResumed && (await fetchAll(options)) === entry.sha256) return;
  await store.remove(entry.sha256);
  const message = `${options.url} has not the sha256 ${entry.sha256} of the manifest; publish the bundle whole`;
  throw new TandemError('BUNDLE_CORRUPT', message);
}

/** Returns the sha256 of what is in the store once all bytes are there. */
async function fetchAll(options: DownloadOptions): Promise<string> {
  const { entry, store, clock, random } = options;
  const name = entry.sha256;
  if ((await store.size(name)) > entry.bytes) await store.remove(name);
  let hash = startSha256();
  let bytes = await store.size(name);
  if (bytes > 0) hash.update(await store.read(name));
  options.onBytes(bytes);
  for (let failures = 0; bytes < entry.bytes; ) {
    const before = bytes;
    try {
      const { body, from } = await request(options, bytes);
      if (from === 0 && bytes > 0) {
        await store.remove(name);
        hash = startSha256();
        bytes = 0;
      }
      for await (const piece of pieces(body)) bytes = await keep(options, hash, piece, bytes);
      if (bytes < entry.bytes) throw new TandemError('DOWNLOAD_FAILED', `${options.url} ended after ${bytes} bytes`);
    } catch (cause) {
      const error = failureOf(cause, options);
      bytes = await store.size(name);
      failures = bytes > before ? 0 : failures + 1;
      if (!error.retryable || failures >= limits.DOWNLOAD_ATTEMPTS_MAX) throw error;
      // What was hashed but not stored comes again.
      hash = startSha256();
      hash.update(await store.read(name));
      const ceilingMs = limits.RECONNECT_DELAY_MS_MIN * 2 ** failures;
      await clock.sleep(Math.min(ceilingMs, limits.RECONNECT_DELAY_MS_MAX) * random.next());
    }
  }
  return hash.hex();
}

async function keep(
  { entry, store, onBytes, url }: DownloadOptions,
  hash: Hash,
  piece: Uint8Array<ArrayBuffer>,
  bytes: number,
): Promise<number> {
  const end = bytes + piece.length;
  if (end > entry.bytes) {
    const message = `${url} has more than the ${entry.bytes} bytes of the manifest; publish the bundle whole`;
    throw new TandemError('BUNDLE_CORRUPT', message);
  }
  await store.append(entry.sha256, piece);
  hash.update(piece);
  onBytes(end);
  return end;
}

async function request(
  { url, entry }: DownloadOptions,
  from: number,
): Promise<{ body: ReadableStream<Uint8Array>; from: number }> {
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  // The browser's own cache would keep a second copy of every file.
  const response = await fetch(url, { headers, cache: 'no-store' });
  if (response.status === 404 || response.status === 410) {
    throw new TandemError(
      'BUNDLE_NOT_FOUND',
      `${url} answered ${response.status}; publish ${entry.file} of the bundle`,
    );
  }
  if (!response.ok || !response.body) {
    throw new TandemError('DOWNLOAD_FAILED', `${url} answered ${response.status}`);
  }
  // A server that does not know ranges answers 200 with everything.
  return { body: response.body, from: response.status === 206 ? from : 0 };
}

/**
 * The network's pieces, joined and cut to whole chunks worth a write, so that what is stored does not depend on how the
 * network cut it. What came before an error is handed out, too.
 */
async function* pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  const take = (length = heldBytes) => {
    const all = concatenate(held);
    held = length < heldBytes ? [all.subarray(length)] : [];
    heldBytes -= length;
    return all.subarray(0, length);
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      held.push(value);
      heldBytes += value.length;
      while (heldBytes >= limits.STORE_CHUNK_BYTES) yield take(limits.STORE_CHUNK_BYTES);
    }
    if (heldBytes > 0) yield take();
  } catch (cause) {
    if (heldBytes > 0) yield take();
    throw cause;
  } finally {
    void reader.cancel().catch(() => {});
  }
}

function failureOf(cause: unknown, { url, entry }: DownloadOptions): TandemError {
  if (cause instanceof TandemError) return cause;
  if (cause instanceof DOMException && cause.name === 'QuotaExceededError') {
    const message = `the browser's storage is full at ${entry.file} (${entry.bytes} bytes); free some, or load with storage: 'memory'`;
    return new TandemError('STORAGE_FULL', message, { cause });
  }
  return new TandemError('DOWNLOAD_FAILED', `${url}: ${cause instanceof Error ? cause.message : cause}`, { cause });
}
