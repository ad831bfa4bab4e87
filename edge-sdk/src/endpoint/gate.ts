import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OpenAiError } from '@tandem/shared/openai';

export interface GateRules {
  /** Undefined: everybody on this machine may ask. */
  apiKey: string | undefined;
  /** Origins of web pages that may ask; `*` allows all. */
  allowedOrigins: readonly string[];
}

/** Who may ask. A page of any site can reach the loopback of its visitor, so pages need leave of their own. */
export class Gate {
  readonly #rules: GateRules;

  constructor(rules: GateRules) {
    this.#rules = rules;
  }

  /** Answers a browser's question before the request, and says whether it was one. @throws OpenAiError 401, 403 */
  admit({ method, headers }: IncomingMessage, response: ServerResponse): 'go-on' | 'answered' {
    const { apiKey, allowedOrigins } = this.#rules;
    const { origin } = headers;
    if (origin !== undefined) {
      if (!allowedOrigins.includes(origin) && !allowedOrigins.includes('*')) {
        throw new OpenAiError(403, 'pages of this origin may not ask; name those that may with --allow-origin');
      }
      response.setHeader('Access-Control-Allow-Origin', origin);
      response.setHeader('Vary', 'Origin');
      if (method === 'OPTIONS') {
        const allowed = {
          'Access-Control-Allow-Methods': 'GET, POST',
          'Access-Control-Allow-Headers': '*, Authorization',
        };
        response.writeHead(204, allowed).end();
        return 'answered';
      }
    }
    const [, given] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    if (apiKey !== undefined && !(given !== undefined && isSame(given, apiKey))) {
      const message = 'the key is missing or wrong; send it as Authorization: Bearer <key>';
      throw new OpenAiError(401, message, { code: 'invalid_api_key' });
    }
    return 'go-on';
  }
}

/** In a time that tells nothing of where they differ. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
