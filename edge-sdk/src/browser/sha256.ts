import { sha256 } from '@noble/hashes/sha2.js';

/**
 * The only door to @noble/hashes. The browser's own digest is quicker but takes a whole file at once, and is missing on
 * pages that are not https.
 */
export interface Hash {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export function startSha256(): Hash {
  const hash = sha256.create();
  return { update: (bytes) => void hash.update(bytes), hex: () => hex(hash.digest()) };
}

export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (typeof crypto.subtle === 'undefined') return hex(sha256(bytes));
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
