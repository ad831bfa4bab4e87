import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * What proves, beside the credential, that a connection is the one that a session belongs to: a token that the server hands out
 * with every `session-opened` and that is good once, for the next. Kept as its hash.
 *
 * Whoever comes with an old or no token (a thief, or a client that lost the answer with its new token) gets an empty
 * session, and the one that was there is revoked: nothing leaks, and a client loses time, never text.
 */
export class ResumeTokens {
  readonly #draw: () => string;

  /** `draw`: a new token, 128 random bits at least. */
  constructor(draw: () => string) {
    this.#draw = draw;
  }

  issue(): { token: string; digest: Buffer } {
    const token = this.#draw();
    return { token, digest: digestOf(token) };
  }

  isGood(presented: string | undefined, digest: Buffer): boolean {
    return timingSafeEqual(digestOf(presented ?? ''), digest);
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}
