import { TandemError } from '../errors.js';
import { type Clock, systemClock } from '../platform/clock.js';
import type { Connect, Transport, TransportHandlers } from './transport.js';

/** The WebSocket code for a connection that ended without a close frame (RFC 6455, 7.1.5). */
const ABNORMAL_CLOSURE = 1006;

/** A listener and its connections inside one process. */
export interface MemoryPipe {
  /** The client's side: every call makes a new connection. */
  readonly connect: Connect;
  /**
   * The server's side: `handlersFor` is called once per new connection with the server's end of it.
   * A connection that comes while nobody accepts is closed with 1006 and `CLOUD_UNAVAILABLE`.
   */
  accept(handlersFor: (transport: Transport) => TransportHandlers): void;
}

/**
 * A network that is one queue per direction: frames arrive whole, in order and in their own turn of `clock`, never inside
 * `send`. Both sides hear `closed` exactly once: the peer first, after all that was sent before; then the closer.
 */
export function createMemoryPipe(clock: Clock = systemClock): MemoryPipe {
  let handlersFor: ((transport: Transport) => TransportHandlers) | undefined;
  const connect: Connect = (handlers) => {
    const client = new MemoryTransport(clock);
    client.handlers = handlers;
    clock.schedule(0, () => {
      if (!handlersFor) return client.finish(refused());
      const server = new MemoryTransport(clock);
      client.peer = server;
      server.peer = client;
      server.handlers = handlersFor(server);
      // The server's turn comes first, so that it is ready when the client's first frame arrives.
      server.open();
      client.open();
    });
    return client;
  };
  return {
    connect,
    accept: (accepted) => {
      handlersFor = accepted;
    },
  };
}

type ClosedReason = Parameters<TransportHandlers['closed']>[0];

function refused(): ClosedReason {
  const error = new TandemError('CLOUD_UNAVAILABLE', 'nobody accepts on this memory pipe; call accept() first');
  return { code: ABNORMAL_CLOSURE, text: 'refused', error };
}

/** One end of a connection. */
class MemoryTransport implements Transport {
  handlers!: TransportHandlers;
  peer: MemoryTransport | undefined;
  bufferedBytes = 0;
  readonly #clock: Clock;
  #closing = false;
  #finished = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(): void {
    this.#clock.schedule(0, () => {
      if (!this.#finished && !this.#closing) this.handlers.opened();
    });
  }

  send(frame: Uint8Array): void {
    const { peer } = this;
    if (this.#closing || this.#finished || !peer) return;
    this.bufferedBytes += frame.byteLength;
    this.#clock.schedule(0, () => {
      this.bufferedBytes -= frame.byteLength;
      if (!peer.#finished) peer.handlers.received(frame);
    });
  }

  close(code = 1000, text = ''): void {
    if (this.#closing || this.#finished) return;
    this.#closing = true;
    this.#clock.schedule(0, () => {
      this.peer?.finish(closedBecause(code, text));
      // One turn later, so that what the peer sent before it heard of the end still arrives here.
      this.#clock.schedule(0, () => this.finish({ code, text }));
    });
  }

  finish(reason: ClosedReason): void {
    if (this.#finished) return;
    this.#finished = true;
    this.handlers.closed(reason);
  }
}

/** As the other side hears it: without a close frame, the network is at fault. */
function closedBecause(code: number, text: string): ClosedReason {
  if (code !== ABNORMAL_CLOSURE) return { code, text };
  return { code, text, error: new TandemError('CLOUD_UNAVAILABLE', 'the connection broke; connect again') };
}
