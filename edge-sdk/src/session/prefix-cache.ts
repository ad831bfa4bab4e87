import { type Engine, GREEDY, PREFIX_BLOCK_TOKENS, type RowCodecName } from '@tandem/shared';

/** The first tokens of a session that the device has run already, and what came out at the cut. */
export interface Prefilled {
  tokens: readonly number[];
  rows: Uint8Array;
}

interface CachedPrefix extends Prefilled {
  session: string;
}

/**
 * The device's side of a shared prefix: its stages run it once, later sessions copy their KV. One prefix at a time: an
 * app has one system prompt, and a second one takes its place.
 */
export class PrefixCache {
  readonly #engine: Engine;
  #key: string | undefined;
  #cached: Promise<CachedPrefix> | undefined;
  #made = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Puts the whole blocks of `tokens` into `session`, which is open and empty. Undefined where engines cannot copy. */
  async prime(session: string, tokens: readonly number[], codec: RowCodecName): Promise<Prefilled | undefined> {
    const whole = tokens.slice(0, tokens.length - (tokens.length % PREFIX_BLOCK_TOKENS));
    if (whole.length === 0 || !this.#engine.copy) return undefined;
    const key = `${codec} ${whole}`;
    if (key !== this.#key) {
      void this.#cached?.then((cached) => this.#engine.close(cached.session)).catch(() => {});
      this.#key = key;
      this.#cached = this.#run(whole, codec);
    }
    // A prefix that cannot be run now is run with the prompt, and whatever is wrong is told there.
    const cached = await this.#cached!.catch(() => undefined);
    if (!cached) {
      this.#key = undefined;
      return undefined;
    }
    const copied = await this.#engine.copy({ source: cached.session, target: session, length: whole.length });
    // Another prefix may have taken its place meanwhile.
    return copied === whole.length ? cached : undefined;
  }

  async #run(tokens: readonly number[], codec: RowCodecName): Promise<CachedPrefix> {
    const session = `prefix-${++this.#made}`;
    const { deviceStages } = this.#engine.info;
    await this.#engine.open({ session, firstStage: 0, endStage: deviceStages, capacity: tokens.length, codec });
    const { encodedRows } = await this.#engine.step({
      session,
      from: 0,
      input: { kind: 'tokens', tokens: Int32Array.from(tokens) },
      depth: deviceStages,
      want: [],
      drafts: [],
      sampling: GREEDY,
    });
    return { tokens, rows: encodedRows, session };
  }
}
