import type { SimulatedLink } from '@tandem/netsim';
import {
  assert,
  type Clock,
  decodeMessage,
  type Engine,
  encodeMessage,
  encodeTokenIds,
  type SamplingSettings,
  type Transport,
  type TransportHandlers,
} from '@tandem/shared';
import { idleMs } from './busy-log.js';
import type { Story, Telling } from './telling.js';
import { VirtualPlace, type VirtualSetting } from './virtual-place.js';

const SESSION = 'co-located';

/** How the cloud speculates with itself. */
export interface CoLocatedPlan {
  /** Stage to draft from, 1-based. */
  exit: number;
  draftLength: number;
  /** Drafting stops behind a draft that is less sure than this (double early exit, Kangaroo 2024); 0 never. */
  floor: number;
}

export interface CoLocatedStory extends Story {
  sampling: SamplingSettings;
  eosTokenIds: readonly number[];
}

/**
 * The server of the baseline that most papers leave out, self-speculation inside the cloud: an early exit drafts, the rest of
 * the model verifies all drafts in one batch and adds a token, KV and rows are shared (LayerSkip 2024, section 3.3). What is
 * settled streams to the client as it comes. One engine: drafting and verifying take turns.
 */
export class Speculator implements TransportHandlers {
  readonly #transport: Transport;
  readonly #engine: Engine;
  readonly #story: CoLocatedStory;
  readonly #plan: CoLocatedPlan;
  readonly #tokens: number[] = [];

  constructor(transport: Transport, engine: Engine, story: CoLocatedStory, plan: CoLocatedPlan) {
    this.#transport = transport;
    this.#engine = engine;
    this.#story = story;
    this.#plan = plan;
  }

  opened(): void {}
  closed(): void {}

  /** The one frame that a client sends: the prompt, whose tokens the story has, too. */
  received(): void {
    void this.#run();
  }

  async #run(): Promise<void> {
    const { stages, contextLength } = this.#engine.info;
    const { promptTokens } = this.#story;
    await this.#engine.open({
      session: SESSION,
      firstStage: 0,
      endStage: stages,
      capacity: contextLength,
      codec: 'f16',
    });
    const last = promptTokens.length - 1;
    await this.#verify(0, promptTokens, [last], []);
    while (!isOver(this.#tokens, this.#story)) {
      const start = last + this.#tokens.length;
      const drafts = await this.#draft(start);
      const fed = [this.#tokens.at(-1)!, ...drafts];
      const want = fed.map((_, index) => start + index);
      await this.#verify(want.at(-1)!, [fed.at(-1)!], want, drafts);
    }
    await this.#engine.close(SESSION);
  }

  /** Drafts behind the last settled token, whose row is `start`. */
  async #draft(start: number): Promise<number[]> {
    const { exit, draftLength, floor } = this.#plan;
    const room = this.#story.maxOutputTokens - this.#tokens.length;
    const drafts: number[] = [];
    while (drafts.length < Math.min(draftLength, room - 1)) {
      const row = start + drafts.length;
      const choice = await this.#step(row, [drafts.at(-1) ?? this.#tokens.at(-1)!], exit, [row], []);
      drafts.push(choice.choices[0]!.token);
      if (choice.choices[0]!.evidence.maxProbability < floor) break;
    }
    return drafts;
  }

  /** Runs `input` from `from` on, and everything that earlier steps left behind, through the whole model. */
  async #verify(from: number, input: readonly number[], want: number[], drafts: number[]): Promise<void> {
    const { choices, mismatch, engineMs } = await this.#step(from, input, this.#engine.info.stages, want, drafts);
    const settled = choices.map(({ token }) => token);
    const end = settled.findIndex((token) => this.#story.eosTokenIds.includes(token));
    const tokens = end < 0 ? settled : settled.slice(0, end + 1);
    this.#tokens.push(...tokens);
    const rows = want.slice(0, tokens.length);
    const length = rows.at(-1)! + 1;
    this.#transport.send(encodeMessage('verdict', { epoch: 0, rows, tokens, mismatch, length, engineMs, queueMs: 0 }));
  }

  #step(from: number, input: readonly number[], depth: number, want: number[], drafts: number[]) {
    const tokens = Int32Array.from(input);
    const { sampling } = this.#story;
    return this.#engine.step({
      session: SESSION,
      from,
      input: { kind: 'tokens', tokens },
      depth,
      want,
      drafts,
      sampling,
    });
  }
}

/** The client's side: sends the prompt in token ids, notes what comes. */
export class SpeculatorClient {
  readonly told = { tokens: [] as number[], origins: [] as string[], settledAtMs: [] as number[] };
  readonly transfer = { bytesUp: 0, bytesDown: 0 };
  readonly #transport: Transport;
  readonly #story: CoLocatedStory;
  /** The connection is there. */
  readonly opened: Promise<void>;
  /** The last token is there. */
  readonly done: Promise<void>;

  constructor(link: SimulatedLink, clock: Clock, story: CoLocatedStory, plan: CoLocatedPlan) {
    this.#story = story;
    let opened = () => {};
    let finished = () => {};
    this.opened = new Promise((resolve) => {
      opened = resolve;
    });
    this.done = new Promise((resolve) => {
      finished = resolve;
    });
    this.#transport = link.connect({
      opened: () => opened(),
      received: (frame) => {
        this.transfer.bytesDown += frame.length;
        const message = decodeMessage(frame);
        assert(message.kind === 'verdict', 'the server streams verdicts');
        const { tokens } = message.control;
        for (const [index, token] of tokens.entries()) {
          this.told.tokens.push(token);
          this.told.origins.push(index < tokens.length - 1 ? `exit${plan.exit}` : 'cloud');
          this.told.settledAtMs.push(clock.now());
        }
        if (isOver(this.told.tokens, story)) finished();
      },
      closed() {},
    });
  }

  begin(vocabularySize: number): void {
    const { promptTokens, sampling } = this.#story;
    const count = promptTokens.length;
    const control = { epoch: 0, from: 0, count, want: [count - 1], drafts: [], sampling };
    const frame = encodeMessage('context-forward', control, encodeTokenIds([...promptTokens], vocabularySize));
    this.transfer.bytesUp += frame.length;
    this.#transport.send(frame);
  }

  close(): void {
    this.#transport.close();
  }
}

export async function tellCoLocated(setting: VirtualSetting, story: Story, plan: CoLocatedPlan): Promise<Telling> {
  const place = new VirtualPlace(setting);
  const cloud = place.cloudEngine();
  const { sampling, manifest } = setting;
  const own = { ...story, sampling, eosTokenIds: manifest.eosTokenIds };
  const link = place.link((transport) => new Speculator(transport, cloud, own, plan));
  const client = new SpeculatorClient(link, place.clock, own, plan);
  await place.connected();
  const startMs = place.clock.now();
  client.begin(manifest.vocabularySize);
  await place.untilIdle(client.done);
  const { tokens, origins, settledAtMs } = client.told;
  return {
    tokens,
    origins,
    settledMs: settledAtMs.map((atMs) => atMs - startMs),
    ...client.transfer,
    roundTrips: 1,
    waitedRoundTrips: 1,
    exposedMs: idleMs([cloud.busy], startMs, settledAtMs.at(-1) ?? startMs),
    deviceMs: 0,
    cloudMs: cloud.busy.totalMs,
  };
}

function isOver(tokens: readonly number[], { maxOutputTokens, eosTokenIds }: CoLocatedStory): boolean {
  const last = tokens.at(-1);
  return tokens.length >= maxOutputTokens || (last !== undefined && eosTokenIds.includes(last));
}
