import {
  type Choice,
  type Clock,
  type EngineInfo,
  limits,
  type Messages,
  packLogprobs,
  TandemError,
} from '@tandem/shared';
import { CLIENT_FAULTS, failedForGood, type SessionContext } from '../context/session-context.js';
import type { LargerModel } from '../larger-model/larger-model.js';
import type { Log } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';
import type { ScheduledStep } from '../scheduler/step-runner.js';
import type { Tracing } from '../tracing.js';
import { type Declaration, extensionOf, type Forward, isAwaited, readForward } from './forward.js';
import { HandOff } from './hand-off.js';
import { SessionTally } from './session-tally.js';

/** The connection that a session answers to at present. */
export interface SessionPeer {
  send<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind]): void;
  /** Tells the client what is wrong and closes this connection; the session itself goes on. */
  fail(error: TandemError): void;
}

export interface CloudSessionOptions {
  declaration: Declaration;
  context: SessionContext;
  info: EngineInfo;
  eosTokenIds: ReadonlySet<number>;
  /** The share of its tenant. @throws TandemError SERVER_BUSY from `receive` */
  quota?: { receive(bytes: number): void; decided(tokens: number): void } | undefined;
  /** Present where there is one and the client allows it. */
  largerModel?: LargerModel | undefined;
  clock: Clock;
  log: Log;
  metrics: Metrics;
  tracing: Tracing;
}

/**
 * The server's half of a session: rows in, verdicts out. One forward at a time, in order; each is judged when its turn
 * comes, against the rows that are then there. No I/O and no timers: the context runs the steps, the peer carries the
 * answers.
 *
 *     context-forward ─▶ stale? deaf? ─▶ queue (≤ 2) ─▶ from > length? ─▶ context ─▶ verdict or credit
 *                        dropped                        context-rewind        └▶ mismatch: deaf until the next epoch
 *
 * Whatever makes answers meaningless (a newer epoch, a new connection, a lost one) cancels all work under way. A step
 * that is already running ends, since the engine cannot stop it; its answer is thrown away and only `length` follows.
 */
export class CloudSession {
  readonly declaration: Declaration;
  /** Of the forward that last changed the rows; 0: no forward made them. A device that was answered later has others in mind. */
  rowsEpoch = 0;
  readonly #options: CloudSessionOptions;
  readonly #handOff: HandOff | undefined;
  #peer: SessionPeer | undefined;
  #epoch = 0;
  /** A mismatch was told in this epoch: what still comes of it rests on a wrong token. */
  #isDeaf = false;
  /** A rewind was told: forwards that were under way then are dropped until one comes that fits. */
  #isRewound = false;
  #isDraining = false;
  /** Engine failures in a row. */
  #failures = 0;
  readonly #tally: SessionTally;
  readonly #queue: Forward[] = [];
  #extension: Forward | undefined;
  #running: Forward | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(options: CloudSessionOptions) {
    this.declaration = options.declaration;
    this.#options = options;
    const { largerModel, declaration } = options;
    this.#tally = new SessionTally(declaration, options.clock, options.metrics);
    this.#handOff = largerModel && new HandOff(largerModel, declaration.capacity);
  }

  /** Name of the larger model that may write here. */
  get largerModel(): string | undefined {
    return this.#handOff?.model;
  }

  /** Rows that need not be sent again. */
  get length(): number {
    return this.#options.context.length;
  }

  /** A new connection takes the session over. Returns the rows that it may count on; `prefix` of them are another context's. */
  attach(peer: SessionPeer, epoch: number, hashes: readonly string[]): { length: number; prefix: number } {
    this.#cancelWork();
    this.#peer = peer;
    this.#failures = 0;
    this.#enter(epoch);
    const prefix = this.#options.context.declare(hashes);
    if (prefix > 0) this.rowsEpoch = 0;
    return { length: this.length, prefix };
  }

  /** The connection is gone: nobody waits for answers. The rows stay. */
  detach(): void {
    this.#cancelWork();
    this.#peer = undefined;
    this.#options.context.rest();
  }

  /** @throws TandemError PROTOCOL_VIOLATION, after which the connection is to be closed. */
  forward(control: Messages['context-forward'], payload: Uint8Array): void {
    if (control.epoch < this.#epoch || this.#isDraining) return;
    if (control.epoch === this.#epoch && this.#isDeaf) return;
    const forward = readForward(control, payload, this.declaration, this.#options.info, this.#options.tracing);
    this.#options.quota?.receive(payload.length);
    this.#tally.received(payload.length, control.asTokens);
    if (control.epoch > this.#epoch) {
      this.#cancelWork();
      this.#enter(control.epoch);
    }
    this.#endExtension();
    const unanswered = this.#queue.length + Number(this.#running !== undefined && isAwaited(this.#running));
    if (unanswered >= limits.FORWARDS_IN_FLIGHT_MAX) {
      const message = `${unanswered + 1} forwards unanswered, limit ${limits.FORWARDS_IN_FLIGHT_MAX}`;
      throw new TandemError('PROTOCOL_VIOLATION', message);
    }
    this.#queue.push(forward);
    this.#next();
  }

  /** Takes no new work; resolves when what was taken is answered. */
  drain(): Promise<void> {
    this.#isDraining = true;
    this.#endExtension();
    this.#handOff?.close();
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Gives all memory back. The session must not be used afterwards. */
  free(): void {
    this.detach();
    this.#handOff?.close();
    this.#options.context.free();
  }

  #enter(epoch: number): void {
    this.#epoch = epoch;
    this.#isDeaf = false;
    this.#isRewound = false;
  }

  #cancelWork(): void {
    this.#endExtension();
    this.#clearQueue();
    this.#running?.cancel.abort();
  }

  #endExtension(): void {
    this.#extension?.span.end({ cancelled: true });
    this.#extension = undefined;
    if (this.#running?.origin === 'extension') this.#running.cancel.abort();
  }

  #next(): void {
    if (this.#running) return;
    this.#running = this.#queue.shift() ?? this.#takeExtension();
    if (!this.#running) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    const forward = this.#running;
    void this.#perform(forward)
      .catch((cause) => this.#peer?.fail(new TandemError('ENGINE_FAILED', 'a bug of the server', { cause })))
      .finally(() => {
        forward.span.end({ cancelled: !isAwaited(forward) });
        this.#running = undefined;
        this.#next();
      });
  }

  #takeExtension(): Forward | undefined {
    const extension = this.#extension;
    this.#extension = undefined;
    return extension;
  }

  async #perform(forward: Forward): Promise<void> {
    for (;;) {
      // Before a repetition, too: what was held may have made room for others meanwhile.
      if (forward.from > this.length) return this.#rewind();
      this.#isRewound = false;
      this.rowsEpoch = this.#epoch;
      const asked = this.#handOff?.read(forward);
      const outcome = await this.#options.context.run(asked ? { ...forward, ...asked } : forward);
      if (outcome.kind === 'done') {
        this.#failures = 0;
        if (isAwaited(forward)) await this.#answer(forward, outcome.value);
        return;
      }
      if (outcome.kind === 'cancelled' || !this.#mayRepeat(forward, outcome.error)) return;
    }
  }

  async #answer(forward: Forward, { result, queueMs }: ScheduledStep): Promise<void> {
    // What it had got to: others whose steps ended in the same moment may have taken the place of its rows since.
    const { mismatch, engineMs, length } = result;
    const choices = result.choices.filter(({ row }) => forward.want.includes(row));
    const row = this.#handOff?.judge(result.choices, forward.want, forward.sampling);
    if (forward.want.length === 0) return this.#peer?.send('credit', { epoch: this.#epoch, length });
    this.#options.quota?.decided(choices.length);
    const times = { engineMs, queueMs };
    if (row === undefined) {
      this.#tally.judged(forward, { choices, mismatch });
      this.#judged(choices, { mismatch, length, ...times });
    } else if (await this.#handOver(forward, row, choices, mismatch, times)) return this.#goDeaf();
    if (!isAwaited(forward)) return;
    if (mismatch) this.#goDeaf();
    else if (forward.extend > 0) this.#extend(forward, choices.at(-1)!);
  }

  #judged(choices: readonly Choice[], rest: Omit<Messages['verdict'], 'epoch' | 'rows' | 'tokens'>): void {
    const rows = choices.map(({ row }) => row);
    const tokens = choices.map(({ token }) => token);
    const asked = choices.flatMap(({ logprobs }) => (logprobs ? [packLogprobs(logprobs)] : []));
    const logprobs = asked.length > 0 ? { logprobs: asked } : {};
    this.#peer?.send('verdict', { epoch: this.#epoch, rows, tokens, ...logprobs, ...rest });
  }

  /**
   * Answers in two parts: what comes before `row` at once, the rest when the larger model has written. True if it has;
   * otherwise the small model's own choices stand, as if nobody had been asked.
   */
  async #handOver(
    forward: Forward,
    row: number,
    choices: readonly Choice[],
    mismatch: boolean,
    times: { engineMs: number; queueMs: number },
  ): Promise<boolean> {
    const count = choices.findIndex((choice) => choice.row === row);
    const isTold = count > 0 || this.#handOff?.isNew === true;
    // The row itself has no answer yet: a client that must send again sends it, too.
    if (isTold) this.#judged(choices.slice(0, count), { mismatch: false, length: row, ...times, handedOver: true });
    const tokens = (await this.#handOff?.write(row, forward.cancel.signal)) ?? [];
    if (!isAwaited(forward)) return false;
    if (tokens.length > 0) {
      this.#options.context.truncate(row + 1);
      this.#tally.judged(forward, { choices: choices.slice(0, count), mismatch: false });
      this.#tally.passage(tokens.length);
      this.#peer?.send('passage', { epoch: this.#epoch, row, tokens, model: this.largerModel ?? '' });
    } else {
      this.#tally.judged(forward, { choices, mismatch });
      const rest = isTold ? { engineMs: 0, queueMs: 0 } : times;
      this.#judged(choices.slice(count), { mismatch, length: this.length, ...rest });
    }
    return tokens.length > 0;
  }

  /** What still comes of this epoch rests on tokens that are not there. */
  #goDeaf(): void {
    this.#isDeaf = true;
    this.#clearQueue();
  }

  #clearQueue(): void {
    for (const { span } of this.#queue.splice(0)) span.end({ cancelled: true });
  }

  /** Goes on alone behind the row just judged, lost or not, unless the client was quicker or the text has come to an end. */
  #extend(forward: Forward, { row, token }: Choice): void {
    const isOver = this.#options.eosTokenIds.has(token) || row + 1 >= this.declaration.capacity;
    if (isOver || this.#queue.length > 0 || this.#isDraining) return;
    try {
      this.#options.quota?.receive(0);
    } catch (error) {
      return this.#peer?.fail(error as TandemError);
    }
    this.#extension = extensionOf(forward, row + 1, token, this.#options.tracing);
  }

  /** The rows are here: another engine, or the next life of this one, can go on where a step failed. */
  #mayRepeat(forward: Forward, error: TandemError): boolean {
    this.#options.log.warn({ code: error.code, failures: ++this.#failures }, 'a step failed');
    if (!isAwaited(forward)) return false;
    const isClientFault = CLIENT_FAULTS.has(error.code);
    if (!isClientFault && this.#failures <= limits.ENGINE_RETRIES_MAX) return true;
    this.#peer?.fail(isClientFault ? error : failedForGood(this.#failures, error));
    return false;
  }

  #rewind(): void {
    if (this.#isRewound) return;
    this.#isRewound = true;
    this.#options.metrics.count('tandem_rewinds_total');
    this.#peer?.send('context-rewind', { epoch: this.#epoch, length: this.length });
  }
}
