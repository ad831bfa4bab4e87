import {
  type Clock,
  decodeMessage,
  encodeMessage,
  limits,
  type Message,
  type Messages,
  TandemError,
  type Transport,
  type TransportHandlers,
} from '@tandem/shared';
import type { Log } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Tracing } from '../tracing.js';
import { CLOSE_CODES, closeCodeOf } from './close-codes.js';
import type { CloudSession, SessionPeer } from './cloud-session.js';
import type { OpenedSession, SessionTable } from './session-table.js';

/** Who is at the door: both known, and checked, before the connection is. */
export interface Visitor {
  sessionId: string;
  /** Digest of the credential: whoever opened a session is the only one to get it back. */
  owner: string;
}

export interface ClientConnectionOptions {
  visitor: Visitor;
  transport: Transport;
  table: SessionTable;
  clock: Clock;
  log: Log;
  metrics: Metrics;
  tracing: Tracing;
}

/** One connection from its first frame to its last: `opening` until `session-open`, then frames go to its session. */
export class ClientConnection implements SessionPeer, TransportHandlers {
  readonly #options: ClientConnectionOptions;
  #state: { kind: 'opening' } | { kind: 'open'; session: CloudSession } | { kind: 'closed' } = { kind: 'opening' };
  readonly #cancelOpenTimer: () => void;

  constructor(options: ClientConnectionOptions) {
    this.#options = options;
    this.#cancelOpenTimer = options.clock.schedule(limits.OPEN_TIMEOUT_MS, () => {
      if (this.#state.kind === 'opening') this.close(CLOSE_CODES.openTimeout, 'no session-open came');
    });
  }

  opened(): void {}

  received(frame: Uint8Array): void {
    if (this.#state.kind === 'closed') return;
    try {
      this.#handle(decodeMessage(frame));
    } catch (error) {
      this.fail(this.#asTandemError(error));
    }
  }

  closed(): void {
    this.#leave();
  }

  send<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind]): void {
    if (this.#state.kind === 'closed') return;
    const { transport, log, metrics } = this.#options;
    const frame = encodeMessage(kind, control);
    metrics.count('tandem_sent_bytes_total', frame.length);
    transport.send(frame);
    if (transport.bufferedBytes <= limits.SEND_BUFFER_BYTES_MAX) return;
    log.info({ bufferedBytes: transport.bufferedBytes }, 'a client does not read and is cut');
    this.close(CLOSE_CODES.slowReader, 'not reading');
  }

  fail(error: TandemError): void {
    if (this.#state.kind === 'closed') return;
    const { code, message, details } = error;
    const waitMs = typeof details.retryAfterMs === 'number' ? details.retryAfterMs : limits.BUSY_RETRY_AFTER_MS;
    const retryAfterMs = code === 'SERVER_BUSY' ? { retryAfterMs: waitMs } : {};
    this.#options.metrics.count('tandem_refusals_total', 1, code);
    this.#options.log.info({ code }, 'a connection is closed with an error');
    this.send('error', { code, message: cut(message), ...retryAfterMs });
    this.close(closeCodeOf(code), code);
  }

  close(code: number, text: string): void {
    if (this.#state.kind === 'closed') return;
    this.#leave();
    this.#options.transport.close(code, text);
  }

  #handle(message: Message): void {
    switch (message.kind) {
      case 'session-open':
        return this.#open(message.control);
      case 'ping':
        return this.send('pong', message.control);
      case 'error':
        this.#options.log.info({ code: message.control.code }, 'a client reports an error');
        return this.close(CLOSE_CODES.done, 'as you say');
      default:
        return this.#serve(message);
    }
  }

  #serve(message: Message): void {
    if (this.#state.kind !== 'open') throw outOfPlace(message, 'before session-open');
    if (message.kind === 'context-forward') return this.#state.session.forward(message.control, message.payload);
    if (message.kind !== 'session-close') throw outOfPlace(message, 'from a client');
    this.#options.table.free(this.#options.visitor.sessionId, this);
    this.close(CLOSE_CODES.done, 'session closed');
  }

  #open(control: Messages['session-open']): void {
    if (this.#state.kind !== 'opening') throw outOfPlace({ kind: 'session-open' }, 'twice on one connection');
    this.#cancelOpenTimer();
    const { session, length, prefix, resume } = this.#traced(control, () =>
      this.#options.table.open(this.#options.visitor, control, this),
    );
    this.#state = { kind: 'open', session };
    const forwardsInFlight = limits.FORWARDS_IN_FLIGHT_MAX;
    const { largerModel } = session;
    const more = {
      ...(prefix > 0 ? { prefix } : {}),
      ...(resume === undefined ? {} : { resume }),
      ...(largerModel === undefined ? {} : { largerModel }),
    };
    this.send('session-opened', { epoch: session.rowsEpoch, length, forwardsInFlight, ...more });
  }

  #traced({ context, codec, capacity }: Messages['session-open'], open: () => OpenedSession): OpenedSession {
    const span = this.#options.tracing.begin('tandem.session.open', { context, codec, capacity });
    try {
      const opened = open();
      span.end({ heldRows: opened.length, prefixRows: opened.prefix });
      return opened;
    } catch (error) {
      span.end({}, error instanceof TandemError ? error.code : 'ENGINE_FAILED');
      throw error;
    }
  }

  /** A bug of ours may end this connection, never the server with all the others. */
  #asTandemError(error: unknown): TandemError {
    if (error instanceof TandemError) return error;
    this.#options.log.error({ stack: error instanceof Error ? error.stack : undefined }, 'a bug of the server');
    return new TandemError('ENGINE_FAILED', 'a bug of the server; its log says more', { cause: error });
  }

  /** However it ends: from here on nothing of this connection counts. */
  #leave(): void {
    const wasOpen = this.#state.kind === 'open';
    this.#state = { kind: 'closed' };
    this.#cancelOpenTimer();
    if (wasOpen) this.#options.table.leave(this.#options.visitor.sessionId, this);
  }
}

/** As in the schema of `error`. */
const MESSAGE_CHARS_MAX = 1_024;

/** Never in the middle of a character: half of one is no UTF-8, and the client would take the frame for damaged. */
function cut(message: string): string {
  return Buffer.from(message.slice(0, MESSAGE_CHARS_MAX), 'utf8').toString('utf8');
}

function outOfPlace({ kind }: Pick<Message, 'kind'>, where: string): TandemError {
  return new TandemError('PROTOCOL_VIOLATION', `${kind} ${where}`);
}
