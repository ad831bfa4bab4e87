import { createHash, timingSafeEqual } from 'node:crypto';

/** Says who presents this credential; undefined for a stranger. */
export type CredentialCheck = (token: string | undefined) => string | undefined;

/** A key that is known by its hash alone: what the server holds at rest opens no door. */
export interface HashedKey {
  tenant: string;
  /** Of the key, in hexadecimal. Keys are long and random, so that a plain hash is enough. */
  sha256: string;
}

/** Sessions of an open server all belong to the same nobody. */
const ANYONE = 'anyone';

/**
 * Checks tokens by their sha256, against all of them and in constant time: neither content nor place of a match shows
 * in the time. Each plain token is a tenant of its own. With neither tokens nor keys the server is open, and everyone is
 * the same owner, unless `isClosed`: then somebody else knows the credentials.
 */
export function checkTokens(
  tokens: readonly string[],
  keys: readonly HashedKey[] = [],
  isClosed = false,
): CredentialCheck {
  if (tokens.length === 0 && keys.length === 0) return isClosed ? () => undefined : () => ANYONE;
  const known = [
    ...tokens.map((token) => ({ digest: digest(token), owner: digest(token).toString('hex') })),
    ...keys.map(({ tenant, sha256 }) => ({ digest: Buffer.from(sha256, 'hex'), owner: `key ${tenant}` })),
  ];
  return (token) => {
    const presented = digest(token ?? '');
    let owner: string | undefined;
    for (const candidate of known) if (timingSafeEqual(candidate.digest, presented)) owner = candidate.owner;
    return token ? owner : undefined;
  };
}

/** `acme:9f86d0…`, as an option says it. */
export function parseKey(text: string): HashedKey {
  const colon = text.indexOf(':');
  return { tenant: text.slice(0, colon), sha256: text.slice(colon + 1).toLowerCase() };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}
