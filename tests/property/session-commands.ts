import { isDeepStrictEqual } from 'node:util';
import { encodeMessage, type Message } from '@tandem/shared';
import fc from 'fast-check';
import { DECLARATION, SessionBench } from '../support/session-bench.js';
import { type MemoryPipe, quiet, type WireClient } from '../support/wire-client.js';
import { choiceOf, packRows, statesOf } from './hash-model.js';
import { MODEL_LIMITS, type ModelPlant, type Reply, SessionModel } from './session-model.js';

/** `on`: counted from the latest connection. Numbers are made relative to where the session is, so that many fit. */
export type Command =
  | { do: 'connect'; isMine: boolean; open?: Opening }
  | ({ do: 'open'; on: number } & Opening)
  | {
      do: 'forward';
      on: number;
      epochStep: number;
      fromStep: number;
      count: number;
      want: number[];
      drafts: string;
      break: string;
    }
  | { do: 'ping' | 'out-of-place' | 'garbage' | 'close' | 'give-up' | 'cut'; on: number }
  | { do: 'wait'; ms: number }
  | { do: 'kill-engine' };

interface Opening {
  epochStep: number;
  ledger: number;
  token: 'latest' | 'old' | 'none';
}

const on = fc.constantFrom(0, 0, 0, 0, 1, 2);
const opening: fc.Arbitrary<Opening> = fc.record({
  epochStep: fc.integer({ min: -1, max: 2 }),
  ledger: fc.constantFrom(1, 1, 1, 2),
  token: fc.constantFrom('latest', 'latest', 'latest', 'old', 'none'),
});

export const COMMANDS: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('connect' as const),
        isMine: fc.constantFrom(true, true, true, true, false),
        open: fc.option(opening, { nil: undefined, freq: 6 }),
      }) as fc.Arbitrary<Command>,
    },
    { weight: 1, arbitrary: fc.tuple(on, opening).map(([on, opening]) => ({ do: 'open' as const, on, ...opening })) },
    {
      weight: 12,
      arbitrary: fc.record({
        do: fc.constant('forward' as const),
        on,
        epochStep: fc.constantFrom(0, 0, 0, 1, 1, 2, -1),
        fromStep: fc.constantFrom(0, 0, 0, 0, -1, -3, 1, 90),
        count: fc.integer({ min: 0, max: 5 }),
        want: fc.subarray([0, 1, 2, 3, 4]),
        drafts: fc.constantFrom('none', 'right', 'right', 'wrong', 'last-missing'),
        break: fc.constantFrom(...Array<string>(16).fill('no'), 'want', 'drafts', 'payload', 'from'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('ping', 'cut', 'cut', 'out-of-place', 'garbage', 'close', 'give-up'),
        on,
      }) as fc.Arbitrary<Command>,
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(400, 999, 1_000, 10_000) }),
    },
    { weight: 1, arbitrary: fc.constant({ do: 'kill-engine' as const }) },
  ),
  { minLength: 4, maxLength: 28, size: 'max' },
);

interface Connection {
  client: WireClient;
  pipe: MemoryPipe;
  isMine: boolean;
  heard: number;
  isToldClosed: boolean;
}

/** Says the commands to the production session host and to the model, and compares all that is heard after each. */
export class SessionComparison {
  readonly #bench: SessionBench;
  readonly #model: SessionModel;
  readonly #connections: Connection[] = [];
  readonly #tokens: string[] = [];
  #drawn = 0;

  constructor(plant?: ModelPlant) {
    const { resumeWindowMs } = MODEL_LIMITS;
    this.#bench = new SessionBench({ resumeWindowMs, drawResumeToken: () => `token ${++this.#drawn}` });
    this.#model = new SessionModel(plant);
  }

  async play(commands: readonly Command[]): Promise<void> {
    for (const [index, command] of commands.entries()) {
      const expected = await this.#perform(command);
      await quiet();
      const heard = this.#hear();
      const sorted = (replies: Reply[]) => replies.toSorted((a, b) => a.to - b.to);
      if (!isDeepStrictEqual(sorted(heard), sorted(expected))) {
        const told = { expected, heard };
        throw new Error(`command ${index}, ${JSON.stringify(command)}: ${JSON.stringify(told)}`);
      }
      const sessions = this.#bench.host.sessions;
      if (sessions !== Number(this.#model.hasSession)) throw new Error(`command ${index}: ${sessions} sessions`);
    }
    await this.#leave();
  }

  /** When all have left and their time is over, nothing is left. */
  async #leave(): Promise<void> {
    for (const { pipe } of this.#connections) pipe.cut();
    await quiet();
    await this.#bench.clock.advance(MODEL_LIMITS.resumeWindowMs);
    await quiet();
    const { host, engine, clock } = this.#bench;
    const left = {
      sessions: host.sessions,
      connections: host.connections,
      kv: engine.sessions.size,
      timers: clock.pending,
    };
    if (Object.values(left).some((count) => count > 0)) throw new Error(`left behind: ${JSON.stringify(left)}`);
  }

  async #perform(command: Command): Promise<Reply[]> {
    const model = this.#model;
    switch (command.do) {
      case 'connect':
        return this.#connect(command.isMine, command.open);
      case 'wait':
        await this.#bench.clock.advance(command.ms);
        return model.wait(command.ms);
      case 'kill-engine':
        this.#bench.source.kill();
        return [];
      default:
    }
    const number = this.#connections.length - 1 - command.on;
    const connection = this.#connections[number];
    if (!connection) return [];
    const { client, pipe } = connection;
    switch (command.do) {
      case 'open':
        return this.#open(number, command);
      case 'forward':
        return this.#forward(number, client, command);
      case 'ping':
        client.send('ping', { nonce: number });
        return model.ping(number, number);
      case 'out-of-place':
        client.send('credit', { epoch: 0, length: 0 });
        return model.outOfPlace(number);
      case 'garbage':
        client.transport.send(Uint8Array.of(1, 2, 3));
        return model.garbage(number);
      case 'close':
        client.send('session-close', {});
        return model.close(number);
      case 'give-up':
        client.send('error', { code: 'ABORTED', message: 'enough' });
        return model.giveUp(number);
      case 'cut':
        pipe.cut();
        return model.cut(number);
    }
  }

  async #connect(isMine: boolean, opening: Opening | undefined): Promise<Reply[]> {
    const number = this.#connections.length;
    const { client, pipe } = this.#bench.connect('session-of-models-1', isMine ? 'me' : 'somebody else');
    this.#connections.push({ client, pipe, isMine, heard: 0, isToldClosed: false });
    await quiet();
    const replies = this.#model.connect(number);
    return opening ? [...replies, ...this.#open(number, opening)] : replies;
  }

  #open(number: number, { epochStep, ledger, token }: Opening): Reply[] {
    const { client, isMine } = this.#connections[number]!;
    // A stranger is only told that this is not his where there is something.
    if (!isMine && !this.#model.hasSession) return [];
    const epoch = Math.max(0, this.#model.epoch + epochStep);
    const back = { latest: 1, old: 2, none: 0 }[token];
    const index = back > 0 && this.#tokens.length >= back ? this.#tokens.length - back : undefined;
    const resume = index === undefined ? {} : { resume: this.#tokens[index]! };
    client.send('session-open', { ...DECLARATION, epoch, ledger, ...resume });
    return this.#model.open(number, { epoch, ledger, isMine, token: index === undefined ? undefined : index + 1 });
  }

  #forward(number: number, client: WireClient, command: Command & { do: 'forward' }): Reply[] {
    const epoch = Math.max(0, this.#model.epoch + command.epochStep);
    const from = command.break === 'from' ? MODEL_LIMITS.capacity : Math.max(0, this.#model.length + command.fromStep);
    const { count } = command;
    // Rows that tell themselves apart: by position, epoch and connection.
    const rows = Array.from({ length: count }, (_, i) => (from + i) * 65_536 + epoch * 256 + number);
    const want = command.want.filter((step) => step < count).map((step) => from + step);
    if (command.break === 'want') want.push(from + count);
    const drafts = this.#drafts(command, from, rows, want);
    const payload = packRows(command.break === 'payload' ? [...rows, 0] : rows);
    const control = { epoch, from, count, want, drafts };
    client.transport.send(encodeMessage('context-forward', control, payload));
    return this.#model.forward(number, control, command.break === 'payload' ? [...rows, 0] : rows);
  }

  #drafts(command: Command & { do: 'forward' }, from: number, rows: number[], want: number[]): number[] {
    if (command.break === 'drafts') return [...want, 1].map(() => 0);
    if (command.drafts === 'none') return [];
    const states = statesOf([...this.#model.rows.slice(0, from), ...rows]);
    const right = want.map((row) => (states[row] === undefined ? 0 : choiceOf(states[row])));
    if (command.drafts === 'wrong') return right.map((token, i) => (i === right.length - 1 ? (token + 1) % 50 : token));
    return command.drafts === 'right' ? right : right.slice(0, -1);
  }

  /** What each client heard since the last time, in the model's words. */
  #hear(): Reply[] {
    return this.#connections.flatMap((connection, to) => {
      const { client } = connection;
      const messages = client.heard.slice(connection.heard);
      connection.heard = client.heard.length;
      const replies = messages.map((message) => this.#inModelsWords(message, to));
      if (client.closed && !connection.isToldClosed) {
        connection.isToldClosed = true;
        replies.push({ to, kind: 'closed', code: client.closed.code });
      }
      return replies;
    });
  }

  #inModelsWords({ kind, control }: Message, to: number): Reply {
    switch (kind) {
      case 'session-opened':
        this.#tokens.push(control.resume!);
        return { to, kind, epoch: control.epoch, length: control.length };
      case 'verdict': {
        const { epoch, rows, tokens, mismatch, length } = control;
        return { to, kind, epoch, rows, tokens, mismatch, length };
      }
      case 'credit':
      case 'context-rewind':
        return { to, kind, epoch: control.epoch, length: control.length };
      case 'pong':
        return { to, kind, nonce: control.nonce };
      case 'error':
        return { to, kind, code: control.code };
      default:
        throw new Error(`a server does not say ${kind}`);
    }
  }
}
