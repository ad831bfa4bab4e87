import {
  type Clock,
  type Connect,
  createMemoryPipe,
  decodeMessage,
  encodeMessage,
  type Message,
  type Messages,
  systemClock,
  type Transport,
  type TransportHandlers,
} from '@tandem/shared';

export interface FakeCloudOptions {
  /**
   * The token that this cloud chooses for `position`; `draft` is the device's, where it has one. Default: the draft, and
   * token 0 where there is none. Must depend on its arguments only, or sessions that reconnect will see another text.
   * With the default the text is the device's, and which exit drafts depends on measured times: give sessions whose texts
   * are compared a `threshold`, which fixes the exits.
   */
  choose?: (position: number, draft: number | undefined) => number;
  /** Time of a step. Default 0. */
  stepMs?: number;
  /** Default: the system's clock. */
  clock?: Clock;
}

export interface FakeCloud {
  /** For `cloud.wrapTransport` of a session: `() => fakeCloud.connect`. */
  readonly connect: Connect;
  /** What came in so far, in order. */
  readonly heard: readonly Message[];
  /** Forgets all rows, as a server does that was restarted. Connections stay. */
  forget(): void;
}

/**
 * A cloud without a model: it keeps to the protocol and chooses as it is told. For tests of an app, not of a model: it
 * cannot notice a wrong row, as the real one does.
 */
export function createFakeCloud({
  choose = firstGuess,
  stepMs = 0,
  clock = systemClock,
}: FakeCloudOptions = {}): FakeCloud {
  const pipe = createMemoryPipe(clock);
  const heard: Message[] = [];
  const sessions = new Set<FakeSession>();
  pipe.accept((transport) => {
    const session = new FakeSession(transport, choose, (answer) => clock.schedule(stepMs, answer), heard);
    sessions.add(session);
    return session;
  });
  return {
    connect: pipe.connect,
    heard,
    forget: () => {
      for (const session of sessions) session.length = 0;
    },
  };
}

const firstGuess = (_position: number, draft: number | undefined) => draft ?? 0;

/** One connection; sessions are not kept from one to the next, so every reconnect sends all rows again. */
class FakeSession implements TransportHandlers {
  length = 0;
  #epoch = 0;
  /** A wrong draft was told: the rest of this epoch rests on it. */
  #isDeaf = false;
  readonly #transport: Transport;
  readonly #choose: (position: number, draft: number | undefined) => number;
  readonly #later: (answer: () => void) => void;
  readonly #heard: Message[];

  constructor(
    transport: Transport,
    choose: (position: number, draft: number | undefined) => number,
    later: (answer: () => void) => void,
    heard: Message[],
  ) {
    this.#transport = transport;
    this.#choose = choose;
    this.#later = later;
    this.#heard = heard;
  }

  opened(): void {}
  closed(): void {}

  received(frame: Uint8Array): void {
    const message = decodeMessage(frame);
    this.#heard.push(message);
    if (message.kind === 'session-open') {
      this.#epoch = message.control.epoch;
      this.#send('session-opened', { epoch: 0, length: 0, forwardsInFlight: 2 });
    } else if (message.kind === 'context-forward') this.#later(() => this.#forward(message.control));
    else if (message.kind === 'session-close') this.#transport.close(1000, 'session closed');
  }

  #forward({ epoch, from, count, want, drafts, extend = 0 }: Messages['context-forward']): void {
    if (epoch < this.#epoch || (epoch === this.#epoch && this.#isDeaf)) return;
    if (epoch > this.#epoch) this.#isDeaf = false;
    this.#epoch = epoch;
    if (from > this.length) return this.#send('context-rewind', { epoch, length: this.length });
    this.length = from + count;
    if (want.length === 0) return this.#send('credit', { epoch, length: this.length });
    const tokens: number[] = [];
    for (const [index, row] of want.entries()) {
      tokens.push(this.#choose(row + 1, drafts[index]));
      this.#isDeaf = drafts[index] !== undefined && drafts[index] !== tokens[index];
      if (this.#isDeaf) break;
    }
    const rows = want.slice(0, tokens.length);
    if (this.#isDeaf) this.length = rows.at(-1)! + 1;
    this.#judge(rows, tokens);
    if (!this.#isDeaf && extend > 0) this.#later(() => this.#extend(epoch, extend));
  }

  /** Token ids as context: the chosen token is the next row. */
  #extend(epoch: number, left: number): void {
    if (epoch !== this.#epoch) return;
    this.length++;
    this.#judge([this.length - 1], [this.#choose(this.length, undefined)]);
    if (left > 1) this.#later(() => this.#extend(epoch, left - 1));
  }

  #judge(rows: number[], tokens: number[]): void {
    const figures = { mismatch: this.#isDeaf, length: this.length, engineMs: 0, queueMs: 0 };
    this.#send('verdict', { epoch: this.#epoch, rows, tokens, ...figures });
  }

  #send<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind]): void {
    this.#transport.send(encodeMessage(kind, control));
  }
}
