import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock, TandemError } from '@tandem/shared';
import { z } from 'zod';
import { withDiskFull } from '../partial-bundle.js';
import { downloadFile } from './download.js';
import { type HubAccess, type HubFile, listHubFiles, resolveCommit } from './hub-client.js';
import { type HubReference, parseHubReference } from './hub-reference.js';

export interface PullOptions extends Partial<HubAccess> {
  /** Folder of all pulled models. */
  cache: string;
  /** Use what is in the cache and ask nobody. Default false. */
  offline?: boolean;
  /** Only these of the files that a checkpoint consists of. Default: all. */
  files?: readonly string[];
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
  clock?: Clock;
}

export interface PullProgress {
  file: string;
  doneBytes: number;
  totalBytes: number;
  filesDone: number;
  filesTotal: number;
}

/** What a checkpoint consists of, in the order in which it is fetched: a wrong config is found before the weights come. */
const WANTED = [
  /^config\.json$/,
  /^generation_config\.json$/,
  /^tokenizer\.json$/,
  /^tokenizer_config\.json$/,
  /^chat_template\.jinja$/,
  /^model\.safetensors\.index\.json$/,
  /^exits\.safetensors$/,
  /^model(-\d{5}-of-\d{5})?\.safetensors$/,
];

const pulledSchema = z.looseObject({ commit: z.string().regex(/^[0-9a-f]{40}$/), files: z.array(z.string()) });

/**
 * Fetches a checkpoint from a hub into the cache, or what is missing of it, and returns its folder.
 *
 * @throws TandemError INVALID_OPTION, UNAUTHORIZED, CHECKPOINT_NOT_FOUND, DOWNLOAD_FAILED, DISK_FULL, ABORTED
 */
export async function pullCheckpoint(reference: string, options: PullOptions): Promise<string> {
  const parsed = parseHubReference(reference);
  const home = join(options.cache, parsed.name.replace('/', '--'));
  const mark = join(home, `${parsed.revision.replaceAll('/', '--')}.json`);
  if (options.offline) return await findPulled(reference, home, mark, options.files);
  const access: HubAccess = { endpoint: options.endpoint ?? 'https://huggingface.co', token: options.token };
  const commit = await resolveCommit(parsed, access);
  const files = chooseFiles(await listHubFiles(parsed.name, commit, access), options.files);
  if (files.length === 0)
    throw new TandemError('CHECKPOINT_NOT_FOUND', `${parsed.name} has no config.json and *.safetensors`);
  const folder = join(home, commit);
  try {
    await mkdir(folder, { recursive: true });
    await fetchAll({ ...parsed, revision: commit }, files, folder, access, options);
    if (options.files === undefined)
      await writeFile(mark, JSON.stringify({ commit, files: files.map(({ path }) => path) }));
  } catch (cause) {
    throw withDiskFull(cause);
  }
  return folder;
}

function chooseFiles(all: readonly HubFile[], only: readonly string[] | undefined): HubFile[] {
  const chosen = WANTED.flatMap((pattern) => all.filter(({ path }) => pattern.test(path)));
  return only === undefined ? chosen : chosen.filter(({ path }) => only.includes(path));
}

async function fetchAll(
  { name, revision }: HubReference,
  files: HubFile[],
  folder: string,
  access: HubAccess,
  options: PullOptions,
): Promise<void> {
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const [filesDone, file] of files.entries()) {
    const tell = (bytes: number, done = filesDone) =>
      options.onProgress?.({
        file: file.path,
        doneBytes: before + bytes,
        totalBytes,
        filesDone: done,
        filesTotal: files.length,
      });
    const target = join(folder, file.path);
    // What has its name has been verified.
    if (!(await isThere(target))) {
      await downloadFile(file, target, {
        url: `${access.endpoint}/${name}/resolve/${revision}/${file.path}`,
        token: access.token,
        clock: options.clock ?? systemClock,
        signal: options.signal ?? new AbortController().signal,
        onBytes: (bytes) => tell(bytes),
      });
    }
    tell(file.bytes, filesDone + 1);
    before += file.bytes;
  }
}

async function findPulled(
  reference: string,
  home: string,
  mark: string,
  only: readonly string[] | undefined,
): Promise<string> {
  const text = await readFile(mark, 'utf8').catch(() => '{}');
  const pulled = pulledSchema.safeParse(JSON.parse(text)).data;
  const folder = pulled && join(home, pulled.commit);
  const wanted = only ? pulled?.files.filter((file) => only.includes(file)) : pulled?.files;
  for (const file of wanted ?? [])
    if (!(await isThere(join(folder!, file))))
      throw new TandemError('CHECKPOINT_NOT_FOUND', `${reference}: ${file} is gone from the cache; pull it online`);
  if (folder === undefined)
    throw new TandemError('CHECKPOINT_NOT_FOUND', `${reference} is not in the cache ${home}; pull it once online`);
  return folder;
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
