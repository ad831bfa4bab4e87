import type { SimulatedLink } from '@tandem/netsim';
import {
  assert,
  type Choice,
  decodeMessage,
  encodeMessage,
  type Messages,
  type SamplingSettings,
  type Transport,
  type TransportHandlers,
} from '@tandem/shared';
import { idleMs } from './busy-log.js';
import type { ReplayEngine } from './replay-engine.js';
import type { Story, Telling } from './telling.js';
import { VirtualPlace, type VirtualSetting } from './virtual-place.js';

/** The paper's threshold on the likeliest token's probability, at both exits. */
const THRESHOLD = 0.8;
const SESSION = 'ce-collm';
const CODEC = 'f16';

/**
 * CE-CoLLM as its paper describes it (arXiv 2411.02829, section IV): two exits, maximum probability 0.8, the row at the first
 * exit uploaded in f16 for every token while the device goes on, and a request that is waited for where neither exit is
 * sure. The cloud keeps uploaded rows until a request comes, then runs them in one batch.
 *
 * It begins behind the first exit, as the rows do; a row costs the paper's measured tail all the same.
 */
export async function tellCeCollm(setting: VirtualSetting, story: Story): Promise<Telling> {
  const place = new VirtualPlace(setting);
  const { profile } = setting;
  const device = place.deviceEngine();
  const behindFirstExit = [0, ...profile.deviceStageMs.slice(1).map(() => 0), profile.cloudTailMs];
  const cloud = place.cloudEngine(behindFirstExit, place.info(1));
  const { contextLength, stages, deviceStages } = device.info;
  const open = { session: SESSION, capacity: contextLength, codec: CODEC } as const;
  await device.open({ ...open, firstStage: 0, endStage: deviceStages });
  await cloud.open({ ...open, firstStage: 1, endStage: stages });
  const client = new Client(
    place.link((transport) => contextManager(transport, cloud, setting)),
    setting.sampling,
  );
  await place.connected();
  const startMs = place.clock.now();
  const done = tell(place, device, client, story).then((told) => ({ ...told, endMs: place.clock.now() }));
  const { endMs, ...told } = await place.untilIdle(done);
  return {
    ...told,
    settledMs: told.settledMs.map((atMs) => atMs - startMs),
    ...client.transfer,
    waitedRoundTrips: client.transfer.roundTrips,
    exposedMs: idleMs([device.busy, cloud.busy], startMs, endMs),
    deviceMs: device.busy.totalMs,
    cloudMs: cloud.busy.totalMs,
  };
}

async function tell(place: VirtualPlace, device: ReplayEngine, client: Client, story: Story) {
  const { model, sampling, manifest } = place.setting;
  const { deviceStages } = device.info;
  const told = { tokens: [] as number[], origins: [] as string[], settledMs: [] as number[] };
  const bytesPerRow = 2 * device.info.width;
  let input = Int32Array.from(story.promptTokens);
  let node = 0;
  for (let length = 0; told.tokens.length < story.maxOutputTokens; ) {
    const row = length + input.length - 1;
    const rows = new Uint8Array(input.length * bytesPerRow);
    for (const [index, token] of input.entries()) {
      node = model.trie.child(node, token);
      new DataView(rows.buffer).setUint32(index * bytesPerRow, node, true);
    }
    let choice: Choice | undefined;
    let origin = 'cloud';
    for (let depth = 1; depth <= deviceStages; depth++) {
      const isFirst = depth === 1;
      const request = { session: SESSION, depth, want: [row], drafts: [], sampling };
      const found = await device.step(
        isFirst
          ? { ...request, from: length, input: { kind: 'tokens', tokens: input } }
          : { ...request, from: row + 1 },
      );
      if (isFirst) client.upload(length, input.length, rows);
      if (found.choices[0]!.evidence.maxProbability < THRESHOLD) continue;
      choice = found.choices[0];
      origin = `exit${depth}`;
      break;
    }
    const token = choice?.token ?? (await client.request(row));
    told.tokens.push(token);
    told.origins.push(origin);
    told.settledMs.push(place.clock.now());
    if (manifest.eosTokenIds.includes(token)) break;
    length = row + 1;
    input = Int32Array.of(token);
  }
  return told;
}

/** Two messages go up, one comes down, in Tandem's frames so that headers weigh the same in every mode. */
class Client {
  readonly transfer = { bytesUp: 0, bytesDown: 0, roundTrips: 0 };
  readonly #transport: Transport;
  readonly #sampling: SamplingSettings;
  #answered: (token: number) => void = () => {};

  constructor(link: SimulatedLink, sampling: SamplingSettings) {
    this.#sampling = sampling;
    this.#transport = link.connect({
      opened() {},
      received: (frame) => {
        this.transfer.bytesDown += frame.length;
        const message = decodeMessage(frame);
        assert(message.kind === 'verdict', 'the context manager answers with a token');
        this.#answered(message.control.tokens[0]!);
      },
      closed() {},
    });
  }

  upload(from: number, count: number, rows: Uint8Array): void {
    this.#send({ epoch: 0, from, count, want: [], drafts: [] }, rows);
  }

  request(row: number): Promise<number> {
    this.transfer.roundTrips++;
    this.#send({ epoch: 0, from: row + 1, count: 0, want: [row], drafts: [], sampling: this.#sampling });
    return new Promise((resolve) => {
      this.#answered = resolve;
    });
  }

  #send(control: Messages['context-forward'], payload?: Uint8Array): void {
    const frame = encodeMessage('context-forward', control, payload);
    this.transfer.bytesUp += frame.length;
    this.#transport.send(frame);
  }
}

/** The cloud's side: keeps rows per client, runs the deep layers over those it has not run when a token is asked for. */
function contextManager(transport: Transport, cloud: ReplayEngine, { sampling }: VirtualSetting): TransportHandlers {
  let pending: Uint8Array[] = [];
  let length = 0;
  const answer = async (row: number) => {
    const bytes = Buffer.concat(pending);
    pending = [];
    const { choices, engineMs } = await cloud.step({
      session: SESSION,
      from: length,
      input: { kind: 'encoded-rows', bytes },
      depth: cloud.info.stages - 1,
      want: [row],
      drafts: [],
      sampling,
    });
    length = row + 1;
    const tokens = choices.map(({ token }) => token);
    transport.send(
      encodeMessage('verdict', { epoch: 0, rows: [row], tokens, mismatch: false, length, engineMs, queueMs: 0 }),
    );
  };
  return {
    opened() {},
    received(frame) {
      const message = decodeMessage(frame);
      assert(message.kind === 'context-forward', 'a client uploads and requests');
      if (message.payload.length > 0) pending.push(message.payload);
      const row = message.control.want[0];
      if (row !== undefined) void answer(row);
    },
    closed() {},
  };
}
