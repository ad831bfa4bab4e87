import { PREFIX_BLOCKS_MAX } from '../limits.js';

/** Tokens of one block: a window of the stages, so that what is shared ends where a run ends. */
export const PREFIX_BLOCK_TOKENS = 64;

/** 16 bytes of SHA-256 in base64url. */
const HASH_BYTES = 16;
export const PREFIX_HASH_CHARS = 22;

/**
 * Hashes of the whole blocks that `tokens` begins with; each stands for everything up to its end:
 *
 *     hash[i] = SHA-256(hash[i - 1] ‖ tokens of block i, 4 bytes each, little-endian), cut to 16 bytes
 *     hash[-1] = `kernels`, cut to 16 bytes
 *
 * `kernels` stands for whatever computes the rows: rows that differ in a bit are not the same content. None where token ids
 * go up and the server computes. They name content to the server, which mixes them with a secret, the tenant and the model before it looks anything up.
 */
export async function prefixBlocks(
  tokens: readonly number[],
  kernels: Uint8Array = new Uint8Array(HASH_BYTES),
): Promise<string[]> {
  const count = Math.min(Math.floor(tokens.length / PREFIX_BLOCK_TOKENS), PREFIX_BLOCKS_MAX);
  const hashes: string[] = [];
  let previous = kernels.slice(0, HASH_BYTES);
  for (let block = 0; block < count; block++) {
    const bytes = new Uint8Array(HASH_BYTES + PREFIX_BLOCK_TOKENS * 4);
    bytes.set(previous);
    const view = new DataView(bytes.buffer, HASH_BYTES);
    for (let i = 0; i < PREFIX_BLOCK_TOKENS; i++) view.setUint32(i * 4, tokens[block * PREFIX_BLOCK_TOKENS + i]!, true);
    previous = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes)).slice(0, HASH_BYTES);
    hashes.push(base64Url(previous));
  }
  return hashes;
}

function base64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
