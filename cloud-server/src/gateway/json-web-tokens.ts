import { limits } from '@tandem/shared';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import type { Log } from '../log.js';

export interface JsonWebTokenOptions {
  /** Where the issuer publishes its public keys. */
  jwksUrl: string;
  issuer: string | undefined;
  audience: string | undefined;
  log: Log;
}

/** Says who presents this token; undefined for a stranger. Never rejects. */
export type TokenVerifier = (token: string) => Promise<string | undefined>;

/** Signatures with a private key of the issuer only: a shared secret does not belong into every server. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

/**
 * JSON Web Tokens, the only door to jose. A token must expire; the tenant is its claim `tenant` or else `sub`. Keys are
 * fetched when the first token comes and kept for ten minutes; an unknown key id fetches anew, at most every thirty seconds.
 */
export function createTokenVerifier({ jwksUrl, issuer, audience, log }: JsonWebTokenOptions): TokenVerifier {
  const keys = createRemoteJWKSet(new URL(jwksUrl), {
    timeoutDuration: limits.JWKS_TIMEOUT_MS,
    cooldownDuration: 30_000,
    cacheMaxAge: 600_000,
  });
  const rules = {
    algorithms: ALGORITHMS,
    requiredClaims: ['exp'],
    clockTolerance: 5,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys, rules);
      const tenant = typeof payload.tenant === 'string' ? payload.tenant : payload.sub;
      return tenant ? `token ${tenant}` : undefined;
    } catch (error) {
      // The code alone: messages may repeat parts of the token.
      log.info({ code: codeOf(error) }, 'a token is refused');
      return undefined;
    }
  };
}

/** Three parts of base64url: everything else is not worth a look. */
export function isJsonWebToken(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown';
}
