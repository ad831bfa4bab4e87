import {
  type Connect,
  decodeMessage,
  encodeMessage,
  type Message,
  type Messages,
  type TransportHandlers,
} from '@tandem/shared';

/** The far end of one connection, played by the test. */
export class FakeConnection {
  readonly sent: Message[] = [];
  isClosed = false;
  readonly handlers: TransportHandlers;

  constructor(handlers: TransportHandlers) {
    this.handlers = handlers;
  }

  reply<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind]): void {
    this.handlers.received(encodeMessage(kind, control));
  }

  /** Opens and answers `session-open`. */
  accept(length = 0, forwardsInFlight = 2, more: Partial<Messages['session-opened']> = {}): void {
    this.handlers.opened();
    // As a server that has seen everything up to this connection.
    const epoch = this.sentOf('session-open').at(-1)?.epoch ?? 0;
    this.reply('session-opened', { epoch, length, forwardsInFlight, ...more });
  }

  lose(error?: Parameters<TransportHandlers['closed']>[0]['error']): void {
    this.handlers.closed({ code: 1006, text: 'lost', ...(error ? { error } : {}) });
  }

  sentOf<Kind extends keyof Messages>(kind: Kind): Messages[Kind][] {
    return this.sent.filter((message) => message.kind === kind).map((message) => message.control as Messages[Kind]);
  }
}

/** A list of connections in the order in which they were dialled. */
export class FakeServer {
  readonly connections: FakeConnection[] = [];
  /** That wait in the client's transport. */
  bufferedBytes = 0;

  readonly connect: Connect = (handlers) => {
    const connection = new FakeConnection(handlers);
    this.connections.push(connection);
    const buffered = () => this.bufferedBytes;
    return {
      get bufferedBytes() {
        return buffered();
      },
      send: (frame) => {
        if (!connection.isClosed) connection.sent.push(decodeMessage(frame));
      },
      close: () => {
        connection.isClosed = true;
      },
    };
  };

  get last(): FakeConnection {
    return this.connections.at(-1)!;
  }
}
