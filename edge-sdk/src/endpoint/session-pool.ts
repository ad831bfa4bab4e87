import { limits, TandemError } from '@tandem/shared';
import type { AnySession as Session } from '../host/model-api.js';
import type { EdgeModel } from '../model.js';
import type { SessionOptions } from '../options.js';

interface Pooled {
  session: Session;
  /** What its caches hold. */
  text: string;
}

/** A session for one request. Whoever has it returns it with what it has told. */
export interface Lease {
  session: Session;
  release(text: string): Promise<void>;
}

/**
 * Sessions for requests that know nothing of each other. A conversation sends all of itself with every turn, so it gets
 * the session that holds most of it already. Where all are taken, requests wait in their order.
 */
export class SessionPool {
  readonly #model: EdgeModel;
  readonly #options: SessionOptions;
  readonly #sessionsMax: number;
  /** Those that were returned last come last. */
  #idle: Pooled[] = [];
  #open = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(model: EdgeModel, options: SessionOptions, sessionsMax: number) {
    this.#model = model;
    this.#options = options;
    this.#sessionsMax = sessionsMax;
  }

  /** @throws TandemError SERVER_BUSY where too many wait, ABORTED */
  async lease(prompt: string, signal: AbortSignal): Promise<Lease> {
    while (this.#idle.length === 0 && this.#open >= this.#sessionsMax) await this.#turn(signal);
    if (signal.aborted) {
      // Whoever was woken and leaves makes room for the next.
      this.#waiting.shift()?.();
      throw signal.reason;
    }
    const pooled = this.#takeBest(prompt) ?? (await this.#create());
    return { session: pooled.session, release: (text) => this.#release(pooled, text) };
  }

  async dispose(): Promise<void> {
    const idle = this.#idle;
    this.#idle = [];
    await Promise.all(idle.map(({ session }) => session.dispose()));
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= limits.ENDPOINT_WAITING_MAX) {
      throw new TandemError('SERVER_BUSY', `${this.#waiting.length} requests wait, the limit; try again later`);
    }
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(go);
    });
  }

  /** The idle session that shares most with the prompt; a new one is made before one that shares nothing is taken. */
  #takeBest(prompt: string): Pooled | undefined {
    let best: Pooled | undefined;
    let most = this.#open < this.#sessionsMax ? 0 : -1;
    for (const pooled of this.#idle) {
      const shared = sharedLength(pooled.text, prompt);
      if (shared <= most) continue;
      most = shared;
      best = pooled;
    }
    if (best) this.#idle.splice(this.#idle.indexOf(best), 1);
    return best;
  }

  async #create(): Promise<Pooled> {
    this.#open++;
    try {
      return { session: await this.#model.createSession(this.#options), text: '' };
    } catch (error) {
      this.#open--;
      this.#waiting.shift()?.();
      throw error;
    }
  }

  async #release(pooled: Pooled, text: string): Promise<void> {
    pooled.text = text;
    // A link that failed for good, for a wrong credential say, may be right in a new session.
    if (pooled.session.connection === 'failed') {
      this.#open--;
      await pooled.session.dispose();
    } else this.#idle.push(pooled);
    this.#waiting.shift()?.();
  }
}

function sharedLength(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  let length = 0;
  while (length < end && one.charCodeAt(length) === other.charCodeAt(length)) length++;
  return length;
}
