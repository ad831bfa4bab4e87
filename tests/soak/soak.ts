import { type CloudServer, startServer } from '@tandem/cloud';
import { EdgeModel } from '@tandem/edge';
import { generateUnsplit, systemClock } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { Dice, seedOf } from '../simulation/sim-random.js';
import { OPENINGS, talesBundle } from '../support/tales.js';
import { visit } from './hostile-peer.js';
import { SoakClient, type SoakStory } from './soak-client.js';
import { takeVitals, type Vitals } from './vitals.js';

export interface SoakOptions {
  durationMs: number;
  clients: number;
  /** Share of those who come that are no clients. */
  hostileShare: number;
  /** Between two stories of a client, in the mean. */
  pauseMs: number;
  /** Between two faults, over all clients, in the mean. */
  faultMs: number;
  killMs: number;
  restartMs: number;
  sampleMs: number;
  seed: string;
}

const FORMAT = 'q8';
const STORIES = 24;
const TOKENS_PER_STORY = 24;

/** A server, its clients and its enemies, for as long as one wants; everything that is counted is counted here. */
export class Soak {
  readonly #options: SoakOptions;
  readonly #dice: Dice;
  readonly #bundle: string;
  readonly #model: EdgeModel;
  readonly clients: SoakClient[] = [];
  readonly vitals: Vitals[] = [];
  readonly kinds = new Map<string, number>();
  readonly attacks = new Map<string, { visits: number; shownOut: number }>();
  kills = 0;
  restarts = 0;
  #server: CloudServer;
  #isOver = false;
  #isRestarting = false;

  private constructor(options: SoakOptions, bundle: string, model: EdgeModel, server: CloudServer) {
    this.#options = options;
    this.#dice = new Dice(seedOf(options.seed, 1e6));
    this.#bundle = bundle;
    this.#model = model;
    this.#server = server;
  }

  static async start(options: SoakOptions): Promise<Soak> {
    const bundle = await talesBundle();
    const model = await EdgeModel.load(bundle, { format: FORMAT, threads: 1 });
    const stories = await tellAll(bundle, model);
    const server = await serve(bundle, 0);
    const soak = new Soak(options, bundle, model, server);
    for (let number = 0; number < options.clients; number++) {
      const seed = seedOf(options.seed, number);
      soak.clients.push(await SoakClient.start(model, server.port, stories, seed));
    }
    return soak;
  }

  /** Resolves when the time is over and every story told to its end. */
  async run(progress: (vitals: Vitals) => void): Promise<void> {
    const { durationMs, pauseMs, faultMs, killMs, restartMs, sampleMs, clients, hostileShare } = this.#options;
    const startMs = systemClock.now();
    const sample = async () => {
      const vitals = takeVitals((systemClock.now() - startMs) / 1_000, this.#server.engineProcessIds);
      this.vitals.push(vitals);
      progress(vitals);
    };
    // As many visits of enemies as make up their share of all that come.
    const visitMs = (pauseMs * 2.5 * (1 - hostileShare)) / (clients * hostileShare);
    const lives = this.clients.map((client) => client.live(pauseMs, () => !this.#isOver));
    const troubles = [
      this.#every(faultMs, async () => this.#hurt()),
      this.#every(killMs, async () => this.#kill()),
      this.#every(restartMs, () => this.#restart()),
      this.#every(visitMs, () => this.#letVisit()),
      this.#every(sampleMs, sample, 'even'),
    ];
    await systemClock.sleep(durationMs);
    this.#isOver = true;
    await Promise.all([...lives, ...troubles]);
    await sample();
  }

  /** Kinds of the handles that are left when all have gone. */
  async close(): Promise<string[]> {
    await this.#model.dispose();
    await this.#server.close();
    // Sockets that are closed are off the list a turn later.
    await systemClock.sleep(100);
    return process.getActiveResourcesInfo().filter((kind) => !STANDARD_STREAMS.has(kind));
  }

  async #every(meanMs: number, act: () => Promise<void>, rhythm: 'drawn' | 'even' = 'drawn'): Promise<void> {
    const startMs = systemClock.now();
    let dueMs = startMs;
    while (!this.#isOver) {
      dueMs += rhythm === 'even' ? meanMs : this.#dice.between(0, 2 * meanMs);
      const endMs = startMs + this.#options.durationMs;
      await systemClock.sleep(Math.max(0, Math.min(dueMs, endMs) - systemClock.now()));
      if (!this.#isOver && dueMs < endMs) await act();
      else return;
    }
  }

  #hurt(): void {
    const kind = this.#dice.pick(this.clients).hurt();
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
  }

  #kill(): void {
    if (this.#isRestarting) return;
    for (const id of this.#server.engineProcessIds) process.kill(id, 'SIGKILL');
    this.kills++;
  }

  async #restart(): Promise<void> {
    this.#isRestarting = true;
    const { port } = this.#server;
    await this.#server.close();
    this.#server = await serve(this.#bundle, port);
    this.#isRestarting = false;
    this.restarts++;
  }

  async #letVisit(): Promise<void> {
    const dice = new Dice(this.#dice.integer(0, 2 ** 31));
    const outcome = await visit(this.#server.port, dice).catch(() => undefined);
    if (!outcome) return;
    const { visits, shownOut } = this.attacks.get(outcome.attack) ?? { visits: 0, shownOut: 0 };
    this.attacks.set(outcome.attack, { visits: visits + 1, shownOut: shownOut + Number(outcome.shownOut) });
  }
}

const STANDARD_STREAMS = new Set(['TTYWrap', 'PipeWrap', 'FSReqCallback']);

function serve(model: string, port: number): Promise<CloudServer> {
  return startServer({ model, port, format: FORMAT, logLevel: 'silent', threads: 1 });
}

async function tellAll(bundle: string, model: EdgeModel): Promise<SoakStory[]> {
  const oracle = await loadChainEngine({ directory: bundle, format: FORMAT, threads: 1, preload: 'all' });
  const stories: SoakStory[] = [];
  for (let number = 0; number < STORIES; number++) {
    const prompt = OPENINGS[number]!;
    const story = { prompt, temperature: number % 2 ? 0.8 : 0, seed: number, maxOutputTokens: TOKENS_PER_STORY };
    const expected = await generateUnsplit(oracle, {
      prompt: model.tokenizer.encode(prompt),
      maxOutputTokens: TOKENS_PER_STORY,
      sampling: { temperature: story.temperature, topK: 0, topP: 1, minP: 0, seed: story.seed },
      codec: 'f16',
      eosTokenIds: model.manifest.eosTokenIds,
      session: `story ${number}`,
    });
    stories.push({ ...story, expected });
  }
  await oracle.dispose();
  return stories;
}
