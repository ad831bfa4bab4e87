import { type Clock, type Connect, type Message, type Messages, type Random, TandemError } from '@tandem/shared';
import * as limits from '@tandem/shared/limits';
import type { EventStream } from '../events.js';
import type { Ledger } from '../ledger/ledger.js';
import type { LedgerChange } from '../ledger/ledger-types.js';
import { applyPassage } from '../ledger/passage.js';
import type { Ask } from './ask.js';
import { CatchUp } from './catch-up.js';
import { CloudLink, type LinkState } from './cloud-link.js';
import { ForwardsUnderWay } from './forwards-under-way.js';
import { HandOver } from './hand-over.js';
import { LinkMeter } from './link-meter.js';
import { SendQueue } from './send-queue.js';
import type { SharedPrefix } from './shared-prefix.js';

/** What is the same for every `session-open` of a session. */
export type SessionDeclaration = Omit<Messages['session-open'], 'epoch'>;

export interface CloudPeerOptions {
  ledger: Ledger;
  declaration: SessionDeclaration;
  prefix?: SharedPrefix | undefined;
  connect: () => Promise<Connect>;
  unavailableAfterMs: number;
  clock: Clock;
  random: Random;
  events: EventStream;
  /** Told of what every verdict did to the ledger, for whoever learns from it. */
  judged(change: LedgerChange, verdict: Messages['verdict']): void;
  /** Whether a prompt had better go up as token ids; by default never. */
  mayBeTokens?: () => boolean;
}

/**
 * Keeps the cloud's copy of the context in step with the ledger: sends forwards as far as the credit goes, applies
 * what comes back, asks again when an answer stays out. Everything that changes raises `version`.
 */
export class CloudPeer {
  readonly #options: CloudPeerOptions;
  readonly #link: CloudLink;
  readonly #underWay: ForwardsUnderWay;
  readonly #queue: SendQueue;
  #credit = 1;
  /** The server's token for the next connection. */
  #resume: { resume?: string } = {};
  /** The server knows a larger model and may use it here: it needs the text beside the rows. */
  #sendsTokens = false;
  readonly #handOver: HandOver;
  #version = 0;
  #wake: (() => void)[] = [];
  readonly meter = new LinkMeter();
  readonly #catchUp: CatchUp;

  constructor(options: CloudPeerOptions) {
    this.#options = options;
    this.#handOver = new HandOver(options.events);
    this.#catchUp = new CatchUp(options.events, this.meter);
    this.#link = new CloudLink({
      connect: options.connect,
      unavailableAfterMs: options.unavailableAfterMs,
      clock: options.clock,
      random: options.random,
      handlers: {
        openMessage: () => ({ ...options.declaration, ...this.#resume, epoch: options.ledger.epoch }),
        opened: (answer) => this.#opened(answer),
        message: (message) => this.#received(message),
        stateChanged: (state, error) => this.#stateChanged(state, error),
      },
    });
    this.#underWay = new ForwardsUnderWay({
      clock: options.clock,
      heardBytes: () => this.#link.transfer.bytesDown,
      ping: () => this.#link.send('ping', { nonce: this.#version }),
      silent: () => this.#startOver(),
    });
    this.#queue = new SendQueue({
      clock: options.clock,
      queuedBytes: () => this.#link.queuedBytes,
      drained: () => this.#changed(),
      stuck: () => this.#startOver(),
    });
  }

  get state(): LinkState {
    return this.#link.state;
  }
  get error(): TandemError | undefined {
    return this.#link.lastError;
  }
  get transfer(): Readonly<CloudLink['transfer']> {
    return this.#link.transfer;
  }
  get version(): number {
    return this.#version;
  }
  /** Whether an answer is under way. */
  get isAsked(): boolean {
    return this.#underWay.count > 0;
  }

  /** Whether a forward could leave at once. */
  get canSend(): boolean {
    return this.#link.state === 'open' && this.#underWay.count < this.#credit && !this.#queue.isFull;
  }

  start(): void {
    this.#link.start();
  }

  /** Sends what the cloud lacks, as far as the credit goes. `ask` goes along with forwards that want a verdict. */
  flush(ask: Ask): void {
    const { ledger, prefix } = this.#options;
    // A server that goes on alone has everything it needs; a forward would only stop it.
    if (this.#underWay.isExtended) return;
    this.#queue.watch();
    const shared = prefix?.rowsAhead(ledger) ?? 0;
    if (shared > ledger.sent && !this.isAsked) ledger.restart(ledger.acked, ledger.epoch, shared);
    while (this.canSend) {
      const forward = ledger.nextForward(ask.askLast, this.#options.mayBeTokens?.());
      if (!forward) return;
      this.#catchUp.forward(ledger, forward, this.#options.clock.now());
      const { payload, ...control } = forward;
      const extend = ask.extend > 0 && control.want.length > 0 ? { extend: ask.extend } : {};
      const sampling = control.want.length > 0 ? { sampling: ask.sampling } : {};
      const claim = prefix?.claim(ledger, control.from, control.from + control.count);
      prefix?.replaced(control.from);
      this.#send({ ...control, ...sampling, ...extend, ...claim }, payload);
    }
  }

  /** With nothing under way and nothing to send, an answer that is still needed has to be asked for anew. */
  askAgain(): void {
    this.#options.ledger.askAgain();
    this.#underWay.forget();
  }

  /** Tells the cloud to stop what it does for this session, and to drop what is not settled. */
  cancel(): void {
    const { ledger, prefix } = this.#options;
    ledger.cancel();
    if (!this.isAsked) return;
    this.#underWay.forget();
    const { epoch, sent: from } = ledger;
    prefix?.replaced(from);
    // It is a forward as any other: until the server has answered, it takes one place of the credit.
    this.#underWay.add({ epoch, bytes: 0, rows: 0, extend: 0 });
    this.#link.send('context-forward', { epoch, from, count: 0, want: [], drafts: [] });
  }

  /** Resolves at the next change after `version`. Rejects with the signal's reason. */
  changedSince(version: number, signal: AbortSignal): Promise<void> {
    if (this.#version !== version) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake.push(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  /** See `CloudLink.renew`. What is outstanding is sent again. */
  reconnect(which: 'any' | 'lost'): void {
    this.#link.renew(which);
  }

  close(): void {
    this.#underWay.forget();
    this.#link.close();
  }

  #send(control: Messages['context-forward'], payload: Uint8Array): void {
    const { events, ledger } = this.#options;
    const { epoch, from, count, want, extend = 0 } = control;
    const bytes = payload.length;
    this.#underWay.add({ epoch, bytes, rows: count, extend });
    this.meter.totals.forwards++;
    const tokenAt = (index: number) => ledger.tokenAt(from + index) ?? 0;
    const tokens = this.#sendsTokens ? { tokens: Array.from({ length: count }, (_, index) => tokenAt(index)) } : {};
    this.#link.send('context-forward', { ...control, ...tokens }, payload);
    events.emit({ kind: 'forward', epoch, from, count, wants: want.length, bytes });
  }

  #opened(answer: Messages['session-opened']): void {
    const { epoch, length, forwardsInFlight, prefix, resume, largerModel } = answer;
    this.#resume = resume === undefined ? {} : { resume };
    this.#options.prefix?.opened(prefix);
    this.#sendsTokens = largerModel !== undefined && this.#options.declaration.context === 'rows';
    this.#credit = Math.min(forwardsInFlight, limits.FORWARDS_IN_FLIGHT_MAX);
    this.#options.ledger.restart(length, epoch);
    this.#underWay.forget();
    this.#catchUp.opened();
    this.#changed();
  }

  #received(message: Message): void {
    switch (message.kind) {
      case 'verdict':
        return this.#judged(message.control);
      case 'passage':
        return this.#written(message.control);
      case 'credit':
        this.#underWay.answered(message.control.epoch);
        this.#options.ledger.acknowledge(message.control.epoch, message.control.length);
        return this.#changed();
      case 'context-rewind':
        return this.#rewound(message.control);
      case 'pong':
        return;
      default:
        throw new TandemError('PROTOCOL_VIOLATION', `the server sent ${message.kind}, a message of clients`);
    }
  }

  #judged(verdict: Messages['verdict']): void {
    const { ledger, events } = this.#options;
    // Only the first part of an answer: the forward stays asked, and its silence begins anew.
    const asked = verdict.handedOver ? undefined : this.#underWay.answered(verdict.epoch);
    const change = ledger.applyVerdict(verdict);
    if (change.kind === 'ignored') return;
    this.#handOver.judged(verdict);
    if (verdict.handedOver) this.#underWay.watch();
    const roundTripMs = asked && this.#options.clock.now() - asked.sentAtMs;
    const { engineMs, queueMs, mismatch, epoch } = verdict;
    this.meter.answered(roundTripMs, engineMs, queueMs, asked?.bytes, asked?.rows);
    events.emit({ kind: 'verdict', epoch, tokens: verdict.tokens.length, mismatch, roundTripMs, engineMs, queueMs });
    this.#options.judged(change, verdict);
    if (change.kind === 'rolled-back') {
      this.#underWay.forget();
      const { length, dropped, adopted } = change;
      events.emit({ kind: 'rolled-back', length, dropped, adopted });
    }
    this.#changed();
  }

  /** A passage answers for the rest of its forward, and ends the epoch as a mismatch does. */
  #written(passage: Messages['passage']): void {
    const { ledger, events } = this.#options;
    const { epoch } = ledger;
    const change = applyPassage(ledger, passage);
    if (ledger.epoch === epoch) return;
    this.#underWay.forget();
    this.#changed();
    if (change.kind !== 'rolled-back') return;
    this.#handOver.written(passage, change.length);
    const { length, dropped, adopted } = change;
    if (dropped > 0) events.emit({ kind: 'rolled-back', length, dropped, adopted });
  }

  #rewound({ epoch, length }: Messages['context-rewind']): void {
    if (!this.#options.ledger.rewind(epoch, length)) return;
    this.#options.prefix?.replaced(length);
    this.#underWay.forget();
    this.#options.events.emit({ kind: 'rewound', length });
    this.#changed();
  }

  /** A peer that is silent, or a transport that takes nothing: nothing under way counts, on a new connection. */
  #startOver(): void {
    this.askAgain();
    this.#link.reconnect();
    this.#changed();
  }

  #stateChanged(state: LinkState, error: TandemError | undefined): void {
    if (state !== 'open') {
      this.#underWay.forget();
      this.#queue.stop();
    }
    this.#options.events.emit({ kind: 'connection', state, ...(error ? { error } : {}) });
    this.#changed();
  }

  #changed(): void {
    this.#catchUp.answered(this.#options.ledger, this.#options.clock.now());
    this.#version++;
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}
