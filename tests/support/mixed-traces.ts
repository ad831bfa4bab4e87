import { ContextCache, createSessionHost, EnginePool, fixedEngine, Scheduler, type SessionHost } from '@tandem/cloud';
import { type Messages, type Random, seededRandom, systemClock } from '@tandem/shared';
import { expect } from 'vitest';
import { SILENT } from './session-bench.js';
import type { SmallBundle } from './small-bundle.js';
import { memoryPipe, quiet, WireClient } from './wire-client.js';

const SAMPLING = { temperature: 0.9, topK: 0, topP: 1, minP: 0, seed: 9 };
const TEXT_TOKENS = 90;

/** A text, its rows at the cut, and what the whole model chooses behind each of its tokens when nobody else is there. */
export interface SoloText {
  rows: Uint8Array;
  choices: number[];
}

export async function soloTexts(bundle: SmallBundle, count: number): Promise<SoloText[]> {
  const { vocabularySize, stages, contextLength } = bundle.engine.info;
  const texts: SoloText[] = [];
  for (let text = 0; text < count; text++) {
    const random = seededRandom(text);
    const tokens = Array.from({ length: TEXT_TOKENS }, () => Math.floor(random.next() * vocabularySize));
    const session = 'solo';
    await bundle.engine.open({ session, firstStage: 0, endStage: stages, capacity: contextLength, codec: 'f32' });
    const choices: number[] = [];
    // One row at a time, alone.
    for (const [position, token] of tokens.entries()) {
      const input = { kind: 'tokens' as const, tokens: Int32Array.of(token) };
      const step = { session, from: position, input, depth: stages, want: [position], drafts: [], sampling: SAMPLING };
      choices.push((await bundle.engine.step(step)).choices[0]!.token);
    }
    await bundle.engine.close(session);
    texts.push({ rows: await bundle.rows(tokens), choices });
  }
  return texts;
}

export interface TraceResult {
  verdicts: number;
  /** What differed from the solo run. */
  wrong: string[];
  refused: number;
  evictions: number;
  rebuilds: number;
  rewinds: number;
  /** Steps that ran together with others'. */
  shared: number;
}

/** What happened in a trace, or in several. */
export type TraceCounts = Omit<TraceResult, 'wrong'>;

/**
 * A few sessions at a time on real stages, joining, leaving, sending rows in pieces of any size with right and wrong drafts,
 * cut off and resumed, squeezed by a budget for one and a half of them, beside a client that sends poison; slots are used
 * again at once. Every verdict is compared with the solo run.
 */
export async function runTrace(bundle: SmallBundle, texts: readonly SoloText[], seed: number): Promise<TraceResult> {
  const random = seededRandom(seed);
  const result: TraceResult = { verdicts: 0, wrong: [], refused: 0, evictions: 0, rebuilds: 0, rewinds: 0, shared: 0 };
  const metrics = {
    count(name: string) {
      result.evictions += Number(name === 'tandem_context_evictions_total');
      result.rebuilds += Number(name === 'tandem_context_rebuilds_total');
    },
    observe(name: string, value: number) {
      if (name === 'tandem_step_sessions' && value > 1) result.shared += value;
    },
  };
  const scheduler = new EnginePool([new Scheduler(fixedEngine(bundle.engine), systemClock, metrics)]);
  const kvBytes = 1_000;
  const host = createSessionHost({
    scheduler,
    cache: new ContextCache(1.5 * kvBytes * 128, metrics),
    overcommit: 100,
    kvBytesPerPosition: () => kvBytes,
    eosTokenIds: [],
    sessionsMax: 100,
    resumeWindowMs: 60_000,
    clock: systemClock,
    log: SILENT,
    metrics,
  });
  const count = 2 + Math.floor(random.next() * 6);
  const told = Array.from({ length: count }, (_, index) => {
    const text = texts[Math.floor(random.next() * texts.length)]!;
    return new TraceSession(host, bundle, text, `trace-session-${seed}-${index}`, random, result).run();
  });
  told.push(poison(host, bundle, `trace-poisoner-${seed}`, random, result));
  await Promise.all(told);
  host.dispose();
  return result;
}

/** The traces of seeds `[0, traces)`: none may differ from the solo run. Returns what happened in all of them. */
export async function expectRightTraces(
  bundle: SmallBundle,
  texts: readonly SoloText[],
  traces: number,
): Promise<TraceCounts> {
  const sum: TraceCounts = { verdicts: 0, refused: 0, evictions: 0, rebuilds: 0, rewinds: 0, shared: 0 };
  for (let seed = 0; seed < traces; seed++) {
    const { wrong, ...counts } = await runTrace(bundle, texts, seed);
    expect(wrong, `seed ${seed}`).toEqual([]);
    for (const name of Object.keys(sum) as (keyof TraceCounts)[]) sum[name] += counts[name];
  }
  return sum;
}

async function poison(
  host: SessionHost,
  bundle: SmallBundle,
  id: string,
  random: Random,
  result: TraceResult,
): Promise<void> {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -65_505, 1e-40];
  const value = values[Math.floor(random.next() * values.length)]!;
  const row = new Float32Array(bundle.engine.info.width);
  row[Math.floor(random.next() * row.length)] = value;
  const client = await open(host, bundle, id, 0);
  const control = { epoch: 1, from: 0, count: 1, want: [0], drafts: [], sampling: SAMPLING };
  client.send('context-forward', control, new Uint8Array(row.buffer));
  if (Math.abs(value) < 1) {
    // A subnormal number is a number.
    await client.take('verdict');
    return client.send('session-close', {});
  }
  const { code } = await client.take('error');
  if (code === 'PROTOCOL_VIOLATION') result.refused++;
  else result.wrong.push(`poison ${value} is answered with ${code}`);
}

async function open(host: SessionHost, bundle: SmallBundle, sessionId: string, epoch: number): Promise<PipedClient> {
  const pipe = memoryPipe(host, { sessionId, owner: sessionId.slice(-1) });
  const client = new PipedClient(pipe.connect);
  client.cut = () => pipe.cut();
  await client.opened();
  const { model, format } = bundle.engine.info;
  client.send('session-open', { model, format, context: 'rows', codec: 'f32', capacity: TEXT_TOKENS, epoch });
  return client;
}

class PipedClient extends WireClient {
  cut = () => {};
}

/** A client that does what clients do, in any order. */
class TraceSession {
  readonly #host: SessionHost;
  readonly #bundle: SmallBundle;
  readonly #text: SoloText;
  readonly #id: string;
  readonly #random: Random;
  readonly #result: TraceResult;
  #epoch = 0;
  /** Rows that the server is known to hold. */
  #sent = 0;

  constructor(host: SessionHost, bundle: SmallBundle, text: SoloText, id: string, random: Random, result: TraceResult) {
    this.#host = host;
    this.#bundle = bundle;
    this.#text = text;
    this.#id = id;
    this.#random = random;
    this.#result = result;
  }

  async run(): Promise<void> {
    let client = await this.#connect();
    for (let step = 0; step < 10; step++) {
      if (this.#sent >= TEXT_TOKENS) this.#sent = this.#upTo(TEXT_TOKENS);
      // The others go on meanwhile, and this one may lose its place.
      if (this.#random.next() < 0.3) for (let turn = 0; turn < 20; turn++) await quiet();
      const dice = this.#random.next();
      // Back to some earlier position, as after a roll-back.
      if (dice < 0.2) this.#sent = this.#upTo(this.#sent + 1);
      const forward = this.#forward();
      client.send('context-forward', forward, this.#payload(forward.from, forward.count));
      if (dice > 0.8) {
        // Lost while it is under way; or taken over by a new connection before anybody noticed.
        if (dice > 0.9) client.cut();
        client = await this.#connect();
      } else await this.#answer(client, forward);
    }
    if (this.#random.next() < 0.5) client.send('session-close', {});
    else client.cut();
  }

  async #connect(): Promise<PipedClient> {
    const client = await open(this.#host, this.#bundle, this.#id, ++this.#epoch);
    const { length } = await client.take('session-opened');
    this.#sent = Math.min(this.#sent, length);
    this.#epoch++;
    return client;
  }

  #forward(): Messages['context-forward'] {
    const from = this.#sent;
    const count = 1 + this.#upTo(Math.min(TEXT_TOKENS - from, this.#random.next() < 0.7 ? 8 : 70));
    const want: number[] = [];
    for (let row = from; row < from + count; row++) if (this.#random.next() < 0.4) want.push(row);
    // The story of the text is random, so that most of its tokens are wrong drafts; here they are told from the solo run.
    const drafts = want.map((row) => (this.#text.choices[row]! + Number(this.#random.next() < 0.1)) % 61);
    return { epoch: ++this.#epoch, from, count, want, drafts, sampling: SAMPLING };
  }

  async #answer(client: PipedClient, { from, count, want, drafts }: Messages['context-forward']): Promise<void> {
    const { kind, control } = await client.takeAny('credit', 'verdict', 'context-rewind');
    if (kind === 'context-rewind') {
      this.#result.rewinds++;
      this.#sent = control.length;
      return;
    }
    if (kind !== 'verdict') {
      const { length } = control as Messages['credit'];
      if (length !== from + count) this.#result.wrong.push(`credit for ${length}, ${from + count} sent`);
      this.#sent = length;
      return;
    }
    const { rows, tokens, mismatch, length } = control;
    this.#result.verdicts++;
    const firstWrong = want.findIndex((row, index) => drafts[index] !== this.#text.choices[row]);
    const judged = firstWrong < 0 ? want : want.slice(0, firstWrong + 1);
    const expected = judged.map((row) => this.#text.choices[row]);
    if (`${rows}` !== `${judged}` || `${tokens}` !== `${expected}` || mismatch !== firstWrong >= 0) {
      this.#result.wrong.push(`${this.#id} from ${from}: rows ${rows} tokens ${tokens}, alone ${judged} ${expected}`);
    }
    this.#sent = length;
  }

  #payload(from: number, count: number): Uint8Array {
    const bytesPerRow = this.#text.rows.length / TEXT_TOKENS;
    return this.#text.rows.slice(from * bytesPerRow, (from + count) * bytesPerRow);
  }

  #upTo(end: number): number {
    return Math.floor(this.#random.next() * end);
  }
}
