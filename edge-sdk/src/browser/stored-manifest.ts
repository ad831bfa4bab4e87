import { type Clock, limits, type Manifest, parseManifest, TandemError } from '@tandem/shared';
import type { BlobStore } from './blob-store.js';
import { notedFile } from './kernel-note.js';
import { sha256Of } from './sha256.js';
import { exclusively } from './storage-lock.js';

const PREFIX = 'manifest-';
/** Whoever looks for stale files must not meet a manifest that is half written: all its files would seem stale. */
const LOCK = 'tandem manifests';

/**
 * The manifest of the bundle at `base`: the server's, or the stored one while the server is out of reach, so that a model
 * that is there starts offline.
 *
 * @throws TandemError BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, DOWNLOAD_FAILED
 */
export async function currentManifest(base: URL, store: BlobStore, clock: Clock): Promise<Manifest> {
  const name = await manifestName(base);
  const stored = await readManifest(store, name);
  const fetched = await fetchManifest(new URL('manifest.json', base), stored !== undefined, clock);
  if ('text' in fetched) {
    const manifest = parse(fetched.text);
    await exclusively(store, LOCK, () => keep(store, name, fetched.text));
    return manifest;
  }
  // An answer that says no is news; silence is not.
  if (stored && fetched.error.code === 'DOWNLOAD_FAILED') return stored;
  throw fetched.error;
}

async function keep(store: BlobStore, name: string, text: string): Promise<void> {
  if (new TextDecoder().decode(await store.read(name)) === text) return;
  await store.remove(name);
  await store.append(name, new TextEncoder().encode(text)).catch(() => {});
}

/** Removes files that no stored manifest names: those of earlier versions. */
export async function removeStaleFiles(store: BlobStore): Promise<void> {
  await exclusively(store, LOCK, () => removeUnnamed(store));
}

async function removeUnnamed(store: BlobStore): Promise<void> {
  const names = await store.names();
  const kept = new Set<string>();
  for (const name of names.filter(isManifest)) {
    const manifest = await readManifest(store, name);
    if (!manifest) continue;
    kept.add(name);
    const stages = manifest.stages.flatMap(({ files, data }) => [
      ...Object.values(files),
      ...Object.values(data ?? {}),
    ]);
    for (const entry of [...stages, ...manifest.tokenizer]) kept.add(entry.sha256);
  }
  const stale = names.filter((name) => !kept.has(notedFile(name) ?? name));
  // One that another tab has open stays until the next time.
  for (const name of stale) await store.remove(name).catch(() => {});
}

async function readManifest(store: BlobStore, name: string): Promise<Manifest | undefined> {
  if ((await store.size(name)) === 0) return undefined;
  try {
    return parse(new TextDecoder().decode(await store.read(name)));
  } catch {
    // Half written, or of another version of Tandem.
    return undefined;
  }
}

async function fetchManifest(
  url: URL,
  isStored: boolean,
  clock: Clock,
): Promise<{ text: string } | { error: TandemError }> {
  const patience = new AbortController();
  const cancel = isStored ? clock.schedule(limits.MANIFEST_TIMEOUT_MS, () => patience.abort()) : () => {};
  try {
    const response = await fetch(url, { cache: 'no-cache', signal: patience.signal });
    if (response.ok) return { text: await response.text() };
    const code = response.status < 500 ? 'BUNDLE_NOT_FOUND' : 'DOWNLOAD_FAILED';
    return { error: new TandemError(code, `${url} answered ${response.status}; name the address of a bundle folder`) };
  } catch (cause) {
    return { error: new TandemError('DOWNLOAD_FAILED', `${url} cannot be reached`, { cause }) };
  } finally {
    cancel();
  }
}

function parse(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const message = 'manifest.json is not JSON; does the address name a bundle folder?';
    throw new TandemError('BUNDLE_CORRUPT', message, { cause });
  }
  return parseManifest(value);
}

/** By address: two bundles of one origin may be of the same model. */
async function manifestName(base: URL): Promise<string> {
  const address = new TextEncoder().encode(base.href);
  return PREFIX + (await sha256Of(address)).slice(0, 32);
}

function isManifest(name: string): boolean {
  return name.startsWith(PREFIX);
}
