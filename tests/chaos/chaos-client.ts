import type { EdgeModel, Session } from '@tandem/edge';
import { type LinkProxy, startProxy } from '@tandem/netsim';
import { isTandemError, systemClock } from '@tandem/shared';
import { Dice } from '../simulation/sim-random.js';
import { drawToxic } from './toxics.js';

export interface ChaosStory {
  prompt: string;
  seed: number;
  temperature: number;
  maxOutputTokens: number;
  /** What one process says. */
  expected: readonly number[];
}

/** A client behind a proxy of its own, which tells one story over and over while its link is tormented. */
export class ChaosClient {
  readonly #model: EdgeModel;
  readonly #story: ChaosStory;
  readonly #proxy: LinkProxy;
  readonly #dice: Dice;
  /** Milliseconds to the next open connection, from the loss of the last one or the last fault behind it. */
  readonly resumesMs: number[] = [];
  readonly problems: string[] = [];
  faults = 0;
  stories = 0;
  tokens = 0;
  #hurtAtMs = 0;
  #hasBeenOpen = false;

  private constructor(model: EdgeModel, story: ChaosStory, proxy: LinkProxy, dice: Dice) {
    this.#model = model;
    this.#story = story;
    this.#proxy = proxy;
    this.#dice = dice;
  }

  static async start(model: EdgeModel, port: number, story: ChaosStory, seed: number): Promise<ChaosClient> {
    const proxy = await startProxy({ target: { host: '127.0.0.1', port }, profile: {}, seed });
    return new ChaosClient(model, story, proxy, new Dice(seed));
  }

  /** Tells stories while `goesOn` says so, and the last one to its end. */
  async live(goesOn: () => boolean): Promise<void> {
    const url = `ws://${this.#proxy.host}:${this.#proxy.port}`;
    const session = await this.#model.createSession({ cloud: { url }, onCloudUnavailable: 'wait' });
    this.#watch(session);
    try {
      do await this.#tell(session);
      while (goesOn() && this.problems.length === 0);
    } finally {
      await session.dispose();
      await this.#proxy.close();
    }
  }

  /** One fault now. Returns its name. */
  hurt(): string {
    const toxic = drawToxic(this.#dice);
    toxic.apply(this.#proxy, this.#dice);
    this.faults++;
    this.#hurtAtMs = systemClock.now();
    return toxic.name;
  }

  async #tell(session: Session): Promise<void> {
    const { prompt, expected, ...options } = this.#story;
    try {
      const { tokens } = await session.generate(prompt, options);
      this.stories++;
      this.tokens += tokens.length;
      const wrong = tokens.findIndex(({ id }, i) => id !== expected[i]);
      if (wrong >= 0 || tokens.length !== expected.length) {
        this.problems.push(`mismatch: "${prompt}", token ${wrong} of ${tokens.length}`);
      }
    } catch (error) {
      this.problems.push(`lost: ${isTandemError(error) ? error.message : String(error)}`);
    }
  }

  #watch(session: Session): void {
    let lostAtMs: number | undefined;
    session.events$.subscribe((event) => {
      if (event.kind !== 'connection') return;
      const nowMs = systemClock.now();
      if (event.state === 'open' && lostAtMs !== undefined) {
        this.resumesMs.push(nowMs - Math.max(lostAtMs, this.#hurtAtMs));
      }
      lostAtMs = event.state === 'open' ? undefined : (lostAtMs ?? (this.#hasBeenOpen ? nowMs : undefined));
      this.#hasBeenOpen ||= event.state === 'open';
    });
  }
}
