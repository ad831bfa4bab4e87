import type { BlobStore } from './blob-store.js';

/** Runs `action` while no other worker or tab of this origin runs one of this name. */
export function exclusively<Result>(store: BlobStore, name: string, action: () => Promise<Result>): Promise<Result> {
  // Where there are no locks (pages that are not https), nothing is stored that tabs could share.
  if (store.kind === 'memory' || !navigator.locks) return action();
  return navigator.locks.request(name, action) as Promise<Result>;
}
