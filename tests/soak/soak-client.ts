import type { EdgeModel, Mode, Session } from '@tandem/edge';
import { type LinkProxy, startProxy } from '@tandem/netsim';
import { isTandemError, systemClock } from '@tandem/shared';
import { drawToxic } from '../chaos/toxics.js';
import { Dice } from '../simulation/sim-random.js';

export interface SoakStory {
  prompt: string;
  seed: number;
  temperature: number;
  maxOutputTokens: number;
  /** What one process says. */
  expected: readonly number[];
}

export interface SoakTally {
  sessions: number;
  stories: number;
  tokens: number;
  cancelled: number;
  faults: number;
  problems: string[];
}

/** A story that takes longer has lost its way: silence, back-off and a restart of the server together take less. */
const STORY_MS = 180_000;
/** Devices that accept tokens by themselves tell another story than one process: theirs is not compared. */
const MODES: readonly Mode[] = ['exact', 'exact', 'exact', 'cloud-only', 'collaborative'];

/** One user after another behind one link: opens a session, tells some stories, cancels some, leaves, comes again. */
export class SoakClient {
  readonly #model: EdgeModel;
  readonly #stories: readonly SoakStory[];
  readonly #proxy: LinkProxy;
  readonly #dice: Dice;
  readonly tally: SoakTally = { sessions: 0, stories: 0, tokens: 0, cancelled: 0, faults: 0, problems: [] };

  private constructor(model: EdgeModel, stories: readonly SoakStory[], proxy: LinkProxy, dice: Dice) {
    this.#model = model;
    this.#stories = stories;
    this.#proxy = proxy;
    this.#dice = dice;
  }

  static async start(model: EdgeModel, port: number, stories: readonly SoakStory[], seed: number): Promise<SoakClient> {
    const proxy = await startProxy({ target: { host: '127.0.0.1', port }, profile: {}, seed });
    return new SoakClient(model, stories, proxy, new Dice(seed));
  }

  /** Until `goesOn` says no; pauses of `pauseMs` in the mean between stories. */
  async live(pauseMs: number, goesOn: () => boolean): Promise<void> {
    const url = `ws://${this.#proxy.host}:${this.#proxy.port}`;
    try {
      while (goesOn()) {
        const mode = this.#dice.pick(MODES);
        const session = await this.#model.createSession({ cloud: { url }, mode, onCloudUnavailable: 'wait' });
        this.tally.sessions++;
        try {
          for (let left = this.#dice.integer(1, 4); left > 0 && goesOn(); left--) {
            await this.#tell(session, mode);
            await systemClock.sleep(this.#dice.between(0, 2 * pauseMs));
          }
        } finally {
          await session.dispose();
        }
      }
    } finally {
      await this.#proxy.close();
    }
  }

  /** One fault now. Returns its name. */
  hurt(): string {
    const toxic = drawToxic(this.#dice);
    toxic.apply(this.#proxy, this.#dice);
    this.tally.faults++;
    return toxic.name;
  }

  async #tell(session: Session, mode: Mode): Promise<void> {
    const { prompt, expected, ...options } = this.#dice.pick(this.#stories);
    // Some users stop reading.
    const endsAt = this.#dice.chance(0.1)
      ? this.#dice.integer(1, options.maxOutputTokens - 1)
      : Number.POSITIVE_INFINITY;
    const tokens: number[] = [];
    try {
      for await (const part of session.generate(prompt, { ...options, signal: AbortSignal.timeout(STORY_MS) })) {
        tokens.push(...part.tokens.map(({ id }) => id));
        if (tokens.length >= endsAt) break;
      }
    } catch (error) {
      this.tally.problems.push(`lost: ${mode}, ${isTandemError(error) ? error.message : String(error)}`);
      return;
    }
    const isWhole = tokens.length < endsAt;
    this.tally.stories++;
    this.tally.tokens += tokens.length;
    if (!isWhole) this.tally.cancelled++;
    if (mode === 'collaborative') return;
    const wrong = tokens.findIndex((token, i) => token !== expected[i]);
    if (wrong >= 0 || (isWhole && tokens.length !== expected.length)) {
      this.tally.problems.push(`mismatch: ${mode}, "${prompt}", token ${wrong} of ${tokens.length}`);
    }
  }
}
