import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Clock, limits, SUBPROTOCOL, TandemError, type Transport } from '@tandem/shared';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import type { Metrics } from '../metrics/metrics.js';
import type { ConnectionHandlers } from '../sessions/session-host.js';
import { refuse } from './http-door.js';

export interface WebSocketDoor {
  /** Completes the handshake of an admitted request and connects the socket with what `accept` returns. */
  open(request: IncomingMessage, socket: Duplex, head: Buffer, accept: Accept): void;
  /** Resolves when every socket is closed; those that do not answer a close in time are cut. */
  close(): Promise<void>;
}

export type Accept = (transport: Transport) => ConnectionHandlers;

const SERVER_OPTIONS = {
  noServer: true,
  maxPayload: limits.FRAME_BYTES_MAX,
  maxFragments: limits.MESSAGE_FRAGMENTS_MAX,
  perMessageDeflate: false,
  clientTracking: false,
  autoPong: true,
  // One message per turn of the event loop: a burst from one client lets the others in between.
  allowSynchronousEvents: false,
  closeTimeout: limits.CLOSE_TIMEOUT_MS,
  handleProtocols: () => SUBPROTOCOL,
} as const;

/** The only door to ws on the server. */
export function createWebSocketDoor(clock: Clock, metrics: Metrics): WebSocketDoor {
  const server = new WebSocketServer(SERVER_OPTIONS);
  server.on('wsClientError', ({ message }, socket) => refuse(socket, 400, { code: 'PROTOCOL_VIOLATION', message }));
  const sockets = new OpenSockets(clock);
  return {
    open(request, socket, head, accept) {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        // First of all: without a listener one malformed frame would end the process. `close` follows and tells.
        webSocket.on('error', () => {});
        sockets.add(webSocket);
        watchIntake(webSocket, socket, clock, () => metrics.count('tandem_refusals_total', 1, 'FRAME_TOO_LARGE'));
        connect(webSocket, accept);
      });
    },
    close: () => sockets.close(),
  };
}

function connect(webSocket: WebSocket, accept: Accept): void {
  const handlers = accept(transportOf(webSocket));
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    // With the default binary type a message is one Buffer.
    if (isBinary) handlers.received(data as Buffer);
    else handlers.fail(new TandemError('PROTOCOL_VIOLATION', 'a text message; frames are binary'));
  });
  webSocket.on('close', (code, reason) => handlers.closed({ code, text: reason.toString('utf8') }));
  handlers.opened();
}

/**
 * What ws leaves open: a peer may announce eight MiB, send them a byte at a time, and be gone. Bytes of a message that is
 * not whole yet are held for a while only, and few before the first message has shown that this is a client.
 */
function watchIntake(webSocket: WebSocket, socket: Duplex, clock: Clock, refused: () => void): void {
  /** Bytes that have come since the last whole message. */
  let pendingBytes = 0;
  let isOpening = true;
  let cancelDeadline: (() => void) | undefined;
  const taken = (bytes: number) => {
    pendingBytes = Math.max(0, pendingBytes - bytes);
    if (pendingBytes > 0) return;
    cancelDeadline?.();
    cancelDeadline = undefined;
  };
  socket.on('data', (chunk: Buffer) => {
    pendingBytes += chunk.length;
    if (isOpening && pendingBytes > limits.OPEN_BYTES_MAX) {
      refused();
      webSocket.terminate();
    }
    cancelDeadline ??= clock.schedule(limits.MESSAGE_TIMEOUT_MS, () => webSocket.terminate());
  });
  webSocket.on('message', () => {
    isOpening = false;
    taken(Number.POSITIVE_INFINITY);
  });
  // Control frames may come in the middle of a message, and do not make it whole.
  for (const kind of ['ping', 'pong'] as const) webSocket.on(kind, (data) => taken(data.length + CONTROL_FRAME_BYTES));
  webSocket.on('close', () => taken(Number.POSITIVE_INFINITY));
}

/** Two bytes and a mask. */
const CONTROL_FRAME_BYTES = 6;

function transportOf(webSocket: WebSocket): Transport {
  return {
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    send(frame) {
      if (webSocket.readyState === WebSocket.OPEN) webSocket.send(frame, { binary: true, compress: false });
    },
    close(code = 1000, text = '') {
      // A close frame behind megabytes that nobody reads would never arrive.
      if (webSocket.bufferedAmount > limits.SEND_BUFFER_BYTES_MAX) webSocket.terminate();
      else webSocket.close(code, text);
    },
  };
}

/** Pings every socket; one that has not answered by the next round is dead, whatever TCP thinks. */
class OpenSockets {
  readonly #clock: Clock;
  readonly #sockets = new Map<WebSocket, { isAlive: boolean }>();
  #cancelRound: () => void;
  #whenEmpty: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cancelRound = clock.schedule(limits.KEEPALIVE_INTERVAL_MS, () => this.#round());
  }

  add(socket: WebSocket): void {
    const health = { isAlive: true };
    this.#sockets.set(socket, health);
    socket.on('pong', () => {
      health.isAlive = true;
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    });
  }

  async close(): Promise<void> {
    this.#cancelRound();
    if (this.#sockets.size === 0) return;
    const cancelCut = this.#clock.schedule(limits.CLOSE_TIMEOUT_MS, () => {
      for (const socket of this.#sockets.keys()) socket.terminate();
    });
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    cancelCut();
  }

  #round(): void {
    for (const [socket, health] of this.#sockets) {
      if (!health.isAlive) socket.terminate();
      else if (socket.readyState === WebSocket.OPEN) {
        health.isAlive = false;
        socket.ping();
      }
    }
    this.#cancelRound = this.#clock.schedule(limits.KEEPALIVE_INTERVAL_MS, () => this.#round());
  }
}
