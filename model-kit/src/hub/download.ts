import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { type Clock, TandemError } from '@tandem/shared';
import { withDiskFull } from '../partial-bundle.js';
import { type HubFile, statusError } from './hub-client.js';

/** Breaks in a row, without a byte in between, after which a download is given up. */
const ATTEMPTS_MAX = 5;
const RETRY_DELAY_MS = 500;

export interface DownloadOptions {
  url: string;
  token: string | undefined;
  clock: Clock;
  signal: AbortSignal;
  /** Bytes that have come, those of an earlier run included. */
  onBytes(bytes: number): void;
}

/**
 * Downloads a file to `target`. What came before a break stays in `target.part`; the next attempt, or the next run, goes
 * on behind it. Nothing is called `target` before size and checksum are right.
 *
 * @throws TandemError UNAUTHORIZED, CHECKPOINT_NOT_FOUND, DOWNLOAD_FAILED, DISK_FULL, ABORTED
 */
export async function downloadFile(file: HubFile, target: string, options: DownloadOptions): Promise<void> {
  const part = `${target}.part`;
  let have = await sizeOf(part);
  // More than the file has: of another file, or damaged.
  if (have > file.bytes) have = await startAnew(part);
  options.onBytes(have);
  for (let attempt = 1; have < file.bytes; ) {
    const outcome = await fetchRest(file, part, have, options);
    const now = await sizeOf(part);
    attempt = now > have && outcome !== 'unsatisfiable' ? 1 : attempt + 1;
    have = outcome === 'unsatisfiable' ? await startAnew(part) : now;
    if (have >= file.bytes) break;
    if (attempt > ATTEMPTS_MAX)
      throw new TandemError(
        'DOWNLOAD_FAILED',
        `${file.path} broke off ${ATTEMPTS_MAX} times at byte ${have}; try again`,
      );
    if (outcome !== 'complete') await options.clock.sleep(RETRY_DELAY_MS * 2 ** (attempt - 1), options.signal);
  }
  if (file.bytes === 0) await (await open(part, 'a')).close();
  await verify(file, part);
  await rename(part, target);
}

type Outcome = 'complete' | 'broken' | 'unsatisfiable';

async function fetchRest(file: HubFile, part: string, have: number, options: DownloadOptions): Promise<Outcome> {
  const { url, token, signal } = options;
  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  if (have > 0) headers.range = `bytes=${have}-`;
  const response = await fetch(url, { headers, signal }).catch(() => undefined);
  checkAborted(signal);
  if (response === undefined) return 'broken';
  if (response.status === 416) return 'unsatisfiable';
  if (response.status === 429 || response.status >= 500) return 'broken';
  if (!response.ok || response.body === null) throw statusError(response.status, file.path);
  // A server that ignores the range sends the whole file.
  const begin = response.status === 206 ? have : 0;
  const handle = await open(part, begin > 0 ? 'r+' : 'w');
  let position = begin;
  try {
    for await (const chunk of response.body) {
      // A longer answer is another file; the checksum would tell, but only after it has filled the disk.
      if (position + chunk.length > file.bytes) throw tooLong(file);
      await handle.write(chunk, 0, chunk.length, position).catch((cause: unknown) => {
        throw withDiskFull(cause);
      });
      position += chunk.length;
      options.onBytes(position);
    }
    return position === file.bytes ? 'complete' : 'broken';
  } catch (cause) {
    if (cause instanceof TandemError) throw cause;
    checkAborted(signal);
    return 'broken';
  } finally {
    await handle.close();
  }
}

async function verify({ path, checksum }: HubFile, part: string): Promise<void> {
  if (checksum === undefined) return;
  const hash: Hash = createHash(checksum.kind === 'sha256' ? 'sha256' : 'sha1');
  // Git hashes a file behind its type and size.
  if (checksum.kind === 'git-sha1') hash.update(`blob ${await sizeOf(part)}\0`);
  for await (const chunk of createReadStream(part, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  const found = hash.digest('hex');
  if (found === checksum.hex) return;
  await rm(part, { force: true });
  const message = `${path} has ${checksum.kind} ${found}, the hub says ${checksum.hex}; it was thrown away, try again`;
  throw new TandemError('DOWNLOAD_FAILED', message);
}

function tooLong({ path, bytes }: HubFile): TandemError {
  return new TandemError('DOWNLOAD_FAILED', `${path} is longer than the ${bytes} bytes that the hub lists; try again`);
}

async function startAnew(part: string): Promise<number> {
  await rm(part, { force: true });
  return 0;
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

function checkAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new TandemError('ABORTED', 'the download was aborted', { cause: signal.reason });
}
