import { readFileSync } from 'node:fs';
import { EdgeModel, type SessionEvent } from '@tandem/edge';
import { type SimulatedLink, simulateLink } from '@tandem/netsim';
import { type ChainEngine, type Connect, generateUnsplit, TandemError } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';

const TOKENS = 32;
const TEMPERATURE = 0.8;
const STORY_DEADLINE_MS = 60_000;

/** Devices that tell one story after the other through the balancer, each compared with that of one process. */
export class Readers {
  readonly #model: EdgeModel;
  readonly #oracle: ChainEngine;
  readonly #links: SimulatedLink[] = [];
  readonly #told: number[] = [];
  #lives: Promise<void>[] = [];
  #isOver = false;
  /** Stories whose tokens are not those of one process. */
  mismatches = 0;
  /** Rows that went up a second time because a server did not have them. */
  resentRows = 0;

  private constructor(model: EdgeModel, oracle: ChainEngine) {
    this.#model = model;
    this.#oracle = oracle;
  }

  static async load(directory: string, format: 'q8' | 'f32'): Promise<Readers> {
    const model = await EdgeModel.load(directory, { format, threads: 1 });
    return new Readers(model, await loadChainEngine({ directory, format, threads: 1, preload: 'all' }));
  }

  get stories(): number {
    return this.#told.reduce((sum, count) => sum + count, 0);
  }

  start(url: string, count: number, openingsFile: string): void {
    const openings = readFileSync(openingsFile, 'utf8').trim().split('\n');
    this.#told.push(...Array<number>(count).fill(0));
    this.#lives = this.#told.map((_, index) => this.#live(url, index, openings[index % openings.length]!));
  }

  /** Breaks every link at once, as when an access point restarts. */
  cutLinks(): void {
    for (const link of this.#links) link.cut();
  }

  /** Until every device has told so many more stories: none may be stuck. */
  async more(stories: number): Promise<void> {
    const goals = this.#told.map((count) => count + stories);
    const deadlineMs = performance.now() + STORY_DEADLINE_MS;
    while (this.#told.some((count, index) => count < goals[index]!)) {
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 20)), ...this.#lives]);
      if (performance.now() > deadlineMs) throw new TandemError('CLOUD_UNAVAILABLE', 'a device is stuck');
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lives);
    await this.#model.dispose();
    await this.#oracle.dispose();
  }

  async #live(url: string, index: number, opening: string): Promise<void> {
    const wrapTransport = (connect: Connect) => {
      const link = simulateLink(connect, { rttMs: 20 }, { seed: index });
      this.#links.push(link);
      return link.connect;
    };
    const session = await this.#model.createSession({
      mode: 'exact',
      onCloudUnavailable: 'wait',
      cloud: { url, wrapTransport },
    });
    /** Rows of this story that have gone up. */
    let sentRows = 0;
    session.events$.subscribe((event) => {
      sentRows = this.#follow(event, sentRows);
    });
    while (!this.#isOver) {
      sentRows = 0;
      const seed = index * 1_000 + this.#told[index]!;
      const settings = { temperature: TEMPERATURE, seed, maxOutputTokens: TOKENS };
      const { tokens } = await session.generate(opening, settings);
      const expected = await this.#unsplit(opening, seed, `unsplit ${index}`);
      if (`${tokens.map(({ id }) => id)}` !== `${expected}`) this.mismatches++;
      this.#told[index]!++;
    }
    await session.dispose();
  }

  #follow(event: SessionEvent, sentRows: number): number {
    if (event.kind === 'rolled-back') return Math.min(sentRows, event.length);
    if (event.kind !== 'forward') return sentRows;
    const end = event.from + event.count;
    this.resentRows += Math.max(0, Math.min(sentRows, end) - event.from);
    return Math.max(sentRows, end);
  }

  #unsplit(opening: string, seed: number, session: string): Promise<number[]> {
    return generateUnsplit(this.#oracle, {
      prompt: this.#model.tokenizer.encode(opening),
      maxOutputTokens: TOKENS,
      sampling: { temperature: TEMPERATURE, topK: 0, topP: 1, minP: 0, seed },
      codec: 'f16',
      eosTokenIds: this.#model.manifest.eosTokenIds,
      session,
    });
  }
}
