import { type Clock, limits, type TandemError, type Transport, type TransportHandlers } from '@tandem/shared';
import { NO_METRICS } from '../metrics/metrics.js';
import { NO_TRACING } from '../tracing.js';
import { ClientConnection, type Visitor } from './client-connection.js';
import { CLOSE_CODES } from './close-codes.js';
import { SessionTable, type SessionTableOptions } from './session-table.js';

/**
 * The server without its sockets: whatever can carry frames, a WebSocket or a pipe in memory, is accepted here.
 *
 * ```ts
 * const host = createSessionHost({ scheduler: new Scheduler(fixedEngine(engine), clock), ... });
 * const handlers = host.accept({ sessionId, owner: 'test' }, transport);  // feed it what the client sends
 * ```
 */
export interface SessionHost {
  /** Sessions, connected or waiting to be resumed. */
  readonly sessions: number;
  /** Those of them that wait. */
  readonly detached: number;
  readonly connections: number;
  /** The visitor's credential was checked. The handlers want every frame and the close of `transport`. */
  accept(visitor: Visitor, transport: Transport): ConnectionHandlers;
  /** Tells all clients to go and waits for that; then gives what is under way time to be answered. */
  drain(): Promise<void>;
  /** Closes all connections and frees all sessions. */
  dispose(): void;
}

export interface ConnectionHandlers extends TransportHandlers {
  /** Something came that is not even a frame: the client is told and cut. */
  fail(error: TandemError): void;
}

export function createSessionHost(options: SessionTableOptions): SessionHost {
  const { clock, log, metrics = NO_METRICS, tracing = NO_TRACING } = options;
  const table = new SessionTable(options);
  const connections = new Set<ClientConnection>();
  let whenEmpty = () => {};
  return {
    get sessions() {
      return table.size;
    },
    get detached() {
      return table.detached;
    },
    get connections() {
      return connections.size;
    },
    accept(visitor, transport) {
      const connection = new ClientConnection({ visitor, transport, table, clock, log, metrics, tracing });
      connections.add(connection);
      return {
        opened: () => connection.opened(),
        received: (frame) => connection.received(frame),
        fail: (error) => connection.fail(error),
        closed: () => {
          connections.delete(connection);
          connection.closed();
          if (connections.size === 0) whenEmpty();
        },
      };
    },
    async drain() {
      table.close();
      for (const connection of connections) connection.send('drain', { deadlineMs: limits.DRAIN_SPREAD_MS });
      // Clients leave at moments of their own choice, and are served until they do.
      const gone = new Promise<void>((resolve) => {
        whenEmpty = resolve;
        if (connections.size === 0) resolve();
      });
      await within(clock, limits.DRAIN_SPREAD_MS + limits.DRAIN_SLACK_MS, gone);
      await within(clock, limits.STOP_GRACE_MS, table.drain());
    },
    dispose() {
      for (const connection of connections) connection.close(CLOSE_CODES.restart, 'the server stops');
      table.dispose();
    },
  };
}

/** Resolves with `promise`, or when the time is over. */
async function within(clock: Clock, ms: number, promise: Promise<void>): Promise<void> {
  const isOver = new AbortController();
  await Promise.race([promise, clock.sleep(ms, isOver.signal).catch(() => {})]);
  isOver.abort();
}
