import { CREDENTIAL_PREFIX, type ErrorCode, limits, SESSION_PATH, SUBPROTOCOL } from '@tandem/shared';
import type { CredentialCheck } from './credentials.js';
import type { TokenVerifier } from './json-web-tokens.js';

/** What an upgrade request says, as far as the door cares. */
export interface UpgradeRequest {
  /** Path and query, as on the request line. */
  url: string;
  origin: string | undefined;
  /** The `Sec-WebSocket-Protocol` header. */
  protocols: string | undefined;
}

export type Admission =
  | { kind: 'admit'; sessionId: string; owner: string }
  | { kind: 'refuse'; status: 400 | 401 | 403 | 404 | 503; code: ErrorCode; message: string };

export interface AdmissionRules {
  credentials: CredentialCheck;
  /** Asked about credentials that those do not know and that look like a JWT. */
  verifyToken?: TokenVerifier | undefined;
  /** Origins of web pages that may connect, beside those on the loopback; `*` allows all. */
  allowedOrigins: readonly string[];
}

const SESSION_ID = new RegExp(`^[A-Za-z0-9_-]{${limits.SESSION_ID_CHARS_MIN},${limits.SESSION_ID_CHARS_MAX}}$`);
const OWN_VERSIONS = /^tandem\.v\d+$/;

/**
 * Decides on an upgrade before the 101: address, version, origin, credential, in this order. Pure. Nothing that was
 * sent is repeated in an answer: a credential in the wrong place must not reach a log by way of an error.
 */
export function admit({ url, origin, protocols }: UpgradeRequest, rules: AdmissionRules): Admission {
  const offered = offeredIn(protocols);
  const sessionId = url.startsWith(SESSION_PATH) ? url.slice(SESSION_PATH.length) : undefined;
  if (url.includes('?')) {
    const message = 'the address takes no query; a credential belongs into Sec-WebSocket-Protocol, never into a URL';
    return { kind: 'refuse', status: 400, code: 'PROTOCOL_VIOLATION', message };
  }
  if (sessionId === undefined || !SESSION_ID.test(sessionId)) {
    const message = `connect to ${SESSION_PATH}<session id>, ${limits.SESSION_ID_CHARS_MIN} to ${limits.SESSION_ID_CHARS_MAX} of A-Z a-z 0-9 _ -`;
    return { kind: 'refuse', status: 404, code: 'PROTOCOL_VIOLATION', message };
  }
  if (!offered.includes(SUBPROTOCOL)) {
    const versions = offered.filter((protocol) => OWN_VERSIONS.test(protocol)).join(', ') || 'no version';
    const message = `the client offers ${versions}, this server speaks ${SUBPROTOCOL}; install versions that match`;
    return { kind: 'refuse', status: 400, code: 'PROTOCOL_VIOLATION', message };
  }
  if (!isAllowedOrigin(origin, rules.allowedOrigins)) {
    const message = 'pages of this origin may not connect; the server names those that may with --allow-origin';
    return { kind: 'refuse', status: 403, code: 'UNAUTHORIZED', message };
  }
  const owner = rules.credentials(credentialIn(offered));
  if (owner === undefined) {
    const message = 'the credential is missing or unknown; offer tandem.token.<base64url of the token> as subprotocol';
    return { kind: 'refuse', status: 401, code: 'UNAUTHORIZED', message };
  }
  return { kind: 'admit', sessionId, owner };
}

/** What the request presents, whether it is good or not. */
export function credentialOf({ protocols }: UpgradeRequest): string | undefined {
  return credentialIn(offeredIn(protocols));
}

function offeredIn(protocols: string | undefined): string[] {
  return (protocols ?? '').split(',').map((protocol) => protocol.trim());
}

function credentialIn(offered: readonly string[]): string | undefined {
  const protocol = offered.find((name) => name.startsWith(CREDENTIAL_PREFIX));
  if (protocol === undefined) return undefined;
  return Buffer.from(protocol.slice(CREDENTIAL_PREFIX.length), 'base64url').toString('utf8');
}

/** Programs send no origin. A page from elsewhere could use a server on the visitor's own machine, unless refused here. */
export function isAllowedOrigin(origin: string | undefined, allowed: readonly string[]): boolean {
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true;
  if (!URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return (protocol === 'http:' || protocol === 'https:') && isLoopback(hostname);
}

/** Whether a host name or address stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}
