import { createHash, type Hash } from 'node:crypto';
import { access, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUNDLE_VERSION, TandemError } from '@tandem/shared';
import { MANIFEST_FILE } from '@tandem/shared/node';
import { type PrepareOptions, prepareBundle } from './bundle-writer.js';

const CACHE_FOLDER = '.cache';

export interface CachedBundleOptions
  extends Pick<PrepareOptions, 'exits' | 'cut' | 'formats' | 'onProgress' | 'onWarning' | 'signal'> {
  /** Told when there is no bundle yet and one is made. */
  onMissing?: () => void;
}

/**
 * The bundle of a checkpoint, made on first use and kept in the checkpoint's `.cache` folder for as long as neither the
 * checkpoint nor the options change. Returns its folder.
 *
 * @throws what `prepareBundle` throws
 */
export async function cachedBundle(checkpoint: string, options: CachedBundleOptions): Promise<string> {
  const { onMissing, ...prepare } = options;
  const label = prepare.formats.join('-');
  const out = join(checkpoint, CACHE_FOLDER, `${label}-${await cacheKey(checkpoint, prepare)}`);
  if (await exists(join(out, MANIFEST_FILE))) return out;
  onMissing?.();
  await removeStale(join(checkpoint, CACHE_FOLDER), label);
  await prepareBundle({ checkpoint, out, ...prepare });
  return out;
}

/**
 * Content, not dates: a fresh clone of the same checkpoint has new dates. The code that writes bundles counts, too, or a
 * developer who mends it would go on running the old ones.
 */
async function cacheKey(checkpoint: string, options: Omit<CachedBundleOptions, 'onMissing'>): Promise<string> {
  const { exits, cut, formats } = options;
  const hash = createHash('sha256').update(JSON.stringify([BUNDLE_VERSION, exits, cut, formats]));
  await hashFiles(hash, checkpoint, /\.(json|safetensors)$/);
  const code = dirname(fileURLToPath(import.meta.url));
  await hashFiles(hash, code, /\.js$/);
  for (const folder of ['architectures', 'conversion', 'onnx']) await hashFiles(hash, join(code, folder), /\.js$/);
  return hash.digest('hex').slice(0, 12);
}

async function hashFiles(hash: Hash, folder: string, names: RegExp): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new TandemError('CHECKPOINT_INVALID', `no config.json in ${folder}; name a checkpoint folder or a bundle`, {
      cause,
    });
  });
  const files = entries.filter((entry) => entry.isFile() && names.test(entry.name)).map(({ name }) => name);
  for (const name of files.sort()) hash.update(name).update(await readFile(join(folder, name)));
}

/** Bundles of an earlier state of the checkpoint would pile up. */
async function removeStale(folder: string, label: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const stale = names.filter((name) => name.startsWith(`${label}-`) && name.length === label.length + 13);
  for (const name of stale) await rm(join(folder, name), { recursive: true, force: true });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
