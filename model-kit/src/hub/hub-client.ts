/** The only door to @huggingface/hub: what a hub has of a model. Bytes are fetched by download.ts, which can go on. */
import { HubApiError, listFiles, modelInfo } from '@huggingface/hub';
import { TandemError } from '@tandem/shared';
import type { HubReference } from './hub-reference.js';

export interface HubAccess {
  /** As in `https://huggingface.co`, or a mirror of the same layout. */
  endpoint: string;
  token: string | undefined;
}

export interface HubFile {
  path: string;
  bytes: number;
  /** sha256 of large files; of small ones a hub only knows git's sha1. */
  checksum: { kind: 'sha256' | 'git-sha1'; hex: string } | undefined;
}

/** Files in the top folder only: nothing that Tandem reads lies deeper. */
const FILE_NAME = /^[A-Za-z0-9][\w.-]{0,127}$/;
const FILES_MAX = 4_096;

/** The commit that a revision names now. */
export async function resolveCommit({ name, revision }: HubReference, access: HubAccess): Promise<string> {
  const info = await asTandemErrors(name, () =>
    modelInfo({ name, revision, additionalFields: ['sha'], ...options(access) }),
  );
  if (!/^[0-9a-f]{40}$/.test(info.sha))
    throw new TandemError('DOWNLOAD_FAILED', `the hub names commit "${info.sha}", that is none`);
  return info.sha;
}

export async function listHubFiles(name: string, commit: string, access: HubAccess): Promise<HubFile[]> {
  return await asTandemErrors(name, async () => {
    const files: HubFile[] = [];
    let seen = 0;
    for await (const entry of listFiles({ repo: name, revision: commit, ...options(access) })) {
      if (++seen > FILES_MAX) throw new TandemError('DOWNLOAD_FAILED', `${name} lists more than ${FILES_MAX} files`);
      if (entry.type !== 'file' || !FILE_NAME.test(entry.path)) continue;
      const { lfs, oid } = entry;
      const checksum = lfs ? { kind: 'sha256' as const, hex: lfs.oid } : oid && { kind: 'git-sha1' as const, hex: oid };
      files.push({ path: entry.path, bytes: lfs?.size ?? entry.size, checksum: checksum || undefined });
    }
    return files;
  });
}

function options({ endpoint, token }: HubAccess): { hubUrl: string; accessToken?: string } {
  return { hubUrl: endpoint, ...(token !== undefined && { accessToken: token }) };
}

async function asTandemErrors<T>(name: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof TandemError) throw cause;
    if (cause instanceof HubApiError) throw statusError(cause.statusCode, name, cause);
    throw new TandemError('DOWNLOAD_FAILED', `the hub cannot be reached for ${name}; try again, or --offline`, {
      cause,
    });
  }
}

/** What a refusal of the hub means. */
export function statusError(status: number, what: string, cause?: unknown): TandemError {
  if (status === 401 || status === 403)
    return new TandemError('UNAUTHORIZED', `${what}: status ${status}; set HF_TOKEN to a token that may read it`, {
      cause,
    });
  if (status === 404)
    return new TandemError('CHECKPOINT_NOT_FOUND', `${what}: status 404; check name, revision and HF_TOKEN`, { cause });
  return new TandemError('DOWNLOAD_FAILED', `${what}: status ${status}; try again later`, { cause });
}
