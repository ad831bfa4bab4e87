import { decodeMessage, encodeMessage, isTandemError, KINDS, type Message } from '@tandem/shared';

/** Where a frame says what it is. */
export const KIND_AT = 2;

/** A client's frames, in which a `session-open` sometimes brings the token before the last. It must get no rows for it. */
export class StaleOpener {
  readonly #fail: (what: string) => void;
  #tokens: string[] = [];
  #isForgetful = false;
  #isStale = false;

  constructor(fail: (what: string) => void) {
    this.#fail = fail;
  }

  forget(): void {
    this.#isForgetful = true;
  }

  /** The frame that goes out instead of this one. */
  sent(frame: Uint8Array): Uint8Array {
    if (frame[KIND_AT] !== KINDS['session-open']) return frame;
    const message = decode(frame);
    this.#isStale = false;
    // With the first token of all there is none before.
    const old = this.#tokens.at(-2);
    if (!this.#isForgetful || message?.kind !== 'session-open' || old === undefined) return frame;
    this.#isForgetful = false;
    this.#isStale = true;
    return encodeMessage('session-open', { ...message.control, resume: old });
  }

  received(frame: Uint8Array): void {
    if (frame[KIND_AT] !== KINDS['session-opened']) return;
    const message = decode(frame);
    if (message?.kind !== 'session-opened') return;
    const { resume, length, prefix = 0 } = message.control;
    if (resume !== undefined) this.#tokens.push(resume);
    // A declared prefix is everybody's who has the credential.
    const own = length - prefix;
    if (this.#isStale && own > 0) this.#fail(`an old token was given ${own} rows`);
  }
}

/** Undefined for a frame that was damaged on its way. */
function decode(frame: Uint8Array): Message | undefined {
  try {
    return decodeMessage(frame);
  } catch (error) {
    if (isTandemError(error)) return undefined;
    throw error;
  }
}
