import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Clock, limits, TandemError } from '@tandem/shared';
import type { Log } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';
import type { SessionHost } from '../sessions/session-host.js';
import type { Doorkeeper } from './doorkeeper.js';
import { createHttpDoor, type HttpAnswers, refuse } from './http-door.js';
import { createWebSocketDoor } from './web-socket-door.js';

export interface GatewayOptions {
  host: string;
  /** 0 takes any free one. */
  port: number;
  doorkeeper: Doorkeeper;
  metrics: Metrics;
  answers: HttpAnswers;
  clock: Clock;
  log: Log;
}

export interface Gateway {
  readonly host: string;
  readonly port: number;
  /** From now on sessions are let in. Before, and after `stop`, they are told to come again. */
  serve(sessions: SessionHost): void;
  /** Takes no new connections; those that are there stay. Resolves when the last of them is gone. */
  stop(): Promise<void>;
  /** Waits for connections that are closing, cuts those that do not, and frees the port. */
  close(): Promise<void>;
}

/** Opens the port. @throws TandemError INVALID_OPTION when it cannot be had. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { host, port, doorkeeper, answers, clock, log, metrics } = options;
  const door = createWebSocketDoor(clock, metrics);
  const http = createHttpDoor(answers);
  http.maxConnections = limits.CONNECTIONS_MAX;
  let sessions: SessionHost | undefined;
  http.on('upgrade', (request, socket, head) => {
    // First of all: a reset during the handshake would otherwise end the process.
    socket.on('error', () => socket.destroy());
    const { origin, 'sec-websocket-protocol': protocols } = request.headers;
    void doorkeeper.decide({ url: request.url ?? '', origin, protocols }).then((decision) => {
      if (decision.kind === 'refuse') {
        const { status, code, message } = decision;
        metrics.count('tandem_refusals_total', 1, code);
        log.info({ status, code }, 'a connection is refused');
        return refuse(socket, status, { code, message });
      }
      const { sessionId, owner } = decision;
      const target = sessions;
      if (!target) return refuse(socket, 503, { code: 'SERVER_BUSY', message: 'the server is starting or stopping' });
      // It may have gone while its token was looked at.
      if (!socket.destroyed)
        door.open(request, socket, head, (transport) => target.accept({ sessionId, owner }, transport));
    });
  });
  await listen(http, host, port);
  let stopping: Promise<void> | undefined;
  const stop = () => {
    sessions = undefined;
    stopping ??= new Promise((resolve) => http.close(() => resolve()));
    return stopping;
  };
  const address = http.address() as AddressInfo;
  return {
    host,
    port: address.port,
    serve(newSessions) {
      sessions = newSessions;
    },
    stop,
    async close() {
      const stopped = stop();
      await door.close();
      http.closeAllConnections();
      await stopped;
    },
  };
}

function listen(http: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (cause: NodeJS.ErrnoException) => {
      const what =
        cause.code === 'EADDRINUSE'
          ? `port ${port} on ${host} is in use; stop the other program or choose another --port`
          : `cannot listen on ${host}:${port} (${cause.code}); check --host and --port`;
      reject(new TandemError('INVALID_OPTION', what, { cause }));
    });
    http.listen({ host, port, backlog: limits.LISTEN_BACKLOG }, resolve);
  });
}
