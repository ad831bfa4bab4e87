import type { IncomingMessage } from 'node:http';
import { isLoopback } from './admission.js';
import { checkTokens } from './credentials.js';

/** Says whether a request may see what only operators should: metrics, the dashboard. */
export type AdminCheck = (request: IncomingMessage) => boolean;

/**
 * With an admin token: whoever presents it as bearer token, or as the password of a browser's own dialog. Without one
 * only a server that listens on the loopback alone answers, since then whoever asks is on the machine already.
 */
export function adminCheck({ adminToken, host }: { adminToken?: string | undefined; host: string }): AdminCheck {
  if (adminToken === undefined) return () => isLoopback(host);
  const check = checkTokens([adminToken]);
  return ({ headers }) => check(presented(headers.authorization ?? '')) !== undefined;
}

function presented(authorization: string): string | undefined {
  const [, scheme, value] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization) ?? [];
  if (scheme?.toLowerCase() === 'bearer') return value;
  const pair = Buffer.from(value ?? '', 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}
