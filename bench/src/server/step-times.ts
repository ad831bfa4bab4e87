import { createSessionHost, fixedEngine, Scheduler } from '@tandem/cloud';
import { forkEngine } from '@tandem/cloud/testing';
import { connectEngine, createMemoryPipe, type Engine, type StepRequest, systemClock } from '@tandem/shared';
import { SILENT } from '../decode/virtual-place.js';
import { LoadClient } from './load-client.js';
import type { Recording } from './recording.js';

/** One call of an engine. */
export interface TimedCall {
  rows: number;
  ms: number;
}

/** A forward as the server's queue sees it: the calls that it comes to, and the tokens that it settles. */
export interface TimedForward {
  calls: TimedCall[];
  tokens: number;
}

export type TimedStory = TimedForward[];

/** Other work on the machine only ever makes a pass slower. */
const PASSES = 9;

/**
 * Recorded stories, told one message after the other to the server's own sessions, each alone, on an engine process of one
 * thread: what every call of the engine takes, the way into the process and back included; the quickest of nine passes.
 */
export async function timeStories(
  bundle: string,
  format: string,
  recordings: readonly Recording[],
): Promise<TimedStory[]> {
  const child = forkEngine({ directory: bundle, format, threads: 1 });
  const engine = new CallWatch(await connectEngine(child.port).engine);
  const passes: TimedStory[][] = recordings.map(() => []);
  // All of them in each pass, so that a slow moment of the machine hits no story in all of its passes.
  for (let pass = 0; pass < PASSES; pass++) {
    for (const [index, recording] of recordings.entries()) passes[index]!.push(await timeStory(engine, recording));
  }
  await engine.dispose();
  child.release();
  return passes.map(quickest);
}

async function timeStory(engine: CallWatch, recording: Recording): Promise<TimedStory> {
  const host = createSessionHost({
    scheduler: new Scheduler(fixedEngine(engine), systemClock),
    eosTokenIds: [],
    sessionsMax: 1,
    resumeWindowMs: 1_000,
    clock: systemClock,
    log: SILENT,
  });
  const pipe = createMemoryPipe();
  pipe.accept((transport) => host.accept({ sessionId: 'session-of-the-bench', owner: 'bench' }, transport));
  const client = new LoadClient(pipe.connect);
  await client.ask('session-open', recording.open);
  const story: TimedStory = [];
  for (const { control, payload } of recording.forwards) {
    engine.calls.length = 0;
    const answer = await client.ask('context-forward', control, payload);
    const tokens = answer.kind === 'verdict' ? answer.control.tokens.length : 0;
    story.push({ calls: [...engine.calls], tokens });
  }
  client.close();
  host.dispose();
  // The next host names its sessions alike.
  await engine.closed();
  return story;
}

function quickest(passes: readonly TimedStory[]): TimedStory {
  const shape = (story: TimedStory) =>
    story.map(({ calls, tokens }) => `${calls.map(({ rows }) => rows)} ${tokens}`).join();
  if (new Set(passes.map(shape)).size > 1) throw new Error('a story that is told again comes to other steps');
  return passes[0]!.map(({ calls, tokens }, forward) => ({
    tokens,
    calls: calls.map(({ rows }, call) => ({
      rows,
      ms: Math.min(...passes.map((story) => story[forward]!.calls[call]!.ms)),
    })),
  }));
}

/** An engine whose calls are timed. */
class CallWatch implements Engine {
  readonly calls: TimedCall[] = [];
  readonly #engine: Engine;
  #closing: Promise<void> = Promise.resolve();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get info() {
    return this.#engine.info;
  }

  open(session: Parameters<Engine['open']>[0]): Promise<void> {
    return this.#timed(0, () => this.#engine.open(session));
  }

  step(request: StepRequest) {
    return this.#timed(rowsOf(request), () => this.#engine.step(request));
  }

  close(session: string): Promise<void> {
    this.#closing = this.#engine.close(session);
    return this.#closing;
  }

  /** The session that is being closed is gone. */
  async closed(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.#closing;
  }

  dispose(): Promise<void> {
    return this.#engine.dispose();
  }

  /** From before the message goes out: this process may have to wait for a core right behind it. */
  async #timed<Value>(rows: number, run: () => Promise<Value>): Promise<Value> {
    const startedMs = performance.now();
    const value = await run();
    this.calls.push({ rows, ms: performance.now() - startedMs });
    return value;
  }
}

function rowsOf({ input, from, want }: StepRequest): number {
  if (input?.kind === 'tokens') return input.tokens.length;
  return Math.max(1, (want.at(-1) ?? from) + 1 - from);
}
