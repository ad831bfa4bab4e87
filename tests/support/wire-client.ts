import type { SessionHost, Visitor } from '@tandem/cloud';
import {
  type Connect,
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageOf,
  type Messages,
  type TandemError,
  type Transport,
} from '@tandem/shared';

/** A client that says what a test tells it to, and keeps what it hears. */
export class WireClient {
  readonly heard: Message[] = [];
  closed: { code: number; text: string; error?: TandemError } | undefined;
  isOpen = false;
  readonly transport: Transport;
  #whenChanged: (() => void)[] = [];

  constructor(connect: Connect) {
    this.transport = connect({
      opened: () => {
        this.isOpen = true;
        this.#changed();
      },
      received: (frame) => {
        this.heard.push(decodeMessage(frame));
        this.#changed();
      },
      closed: (reason) => {
        this.closed = reason;
        this.#changed();
      },
    });
  }

  send<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind], payload?: Uint8Array): void {
    this.transport.send(encodeMessage(kind, control, payload));
  }

  /** The latest message of a kind that has come so far. */
  last<Kind extends keyof Messages>(kind: Kind): Messages[Kind] | undefined {
    return this.heard.filter((message) => message.kind === kind).at(-1)?.control as Messages[Kind] | undefined;
  }

  all<Kind extends keyof Messages>(kind: Kind): Messages[Kind][] {
    return this.heard.filter((message) => message.kind === kind).map((message) => message.control as Messages[Kind]);
  }

  /** Takes the next message of a kind out of what was heard, or waits for it. */
  async take<Kind extends keyof Messages>(kind: Kind): Promise<Messages[Kind]> {
    for (;;) {
      const index = this.heard.findIndex((message) => message.kind === kind);
      if (index >= 0) return (this.heard.splice(index, 1)[0] as MessageOf<Kind>).control as Messages[Kind];
      if (this.closed) throw new Error(`closed with ${this.closed.code} ${this.closed.text} while waiting for ${kind}`);
      await this.#change();
    }
  }

  /** The next message of any of these kinds. */
  async takeAny(...kinds: (keyof Messages)[]): Promise<Message> {
    for (;;) {
      const index = this.heard.findIndex(({ kind }) => kinds.includes(kind));
      if (index >= 0) return this.heard.splice(index, 1)[0]!;
      if (this.closed) throw new Error(`closed with ${this.closed.code} while waiting for ${kinds.join(' or ')}`);
      await this.#change();
    }
  }

  async opened(): Promise<this> {
    while (!this.isOpen && !this.closed) await this.#change();
    if (!this.isOpen) throw this.closed?.error ?? new Error('not opened');
    return this;
  }

  async ended(): Promise<{ code: number; text: string }> {
    while (!this.closed) await this.#change();
    return this.closed;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#whenChanged.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#whenChanged.splice(0)) resolve();
  }
}

export interface MemoryPipe {
  connect: Connect;
  /** What the server may believe to be stuck in its send buffer. */
  serverBufferedBytes: number;
  /** Ends both sides as a broken link does. */
  cut(): void;
}

/** A pipe into a session host: no sockets, every frame in a turn of its own. */
export function memoryPipe(host: SessionHost, visitor: Visitor): MemoryPipe {
  let cut = () => {};
  const pipe: MemoryPipe = {
    serverBufferedBytes: 0,
    cut: () => cut(),
    connect(client) {
      let isOpen = true;
      const end = (code: number, text: string) => {
        if (!isOpen) return;
        isOpen = false;
        queueMicrotask(() => client.closed({ code, text }));
        queueMicrotask(() => server.closed({ code, text }));
      };
      const server = host.accept(visitor, {
        get bufferedBytes() {
          return pipe.serverBufferedBytes;
        },
        send: (frame) => isOpen && queueMicrotask(() => client.received(frame)),
        close: (code = 1000, text = '') => end(code, text),
      });
      cut = () => end(1006, 'cut');
      queueMicrotask(() => {
        server.opened();
        client.opened();
      });
      return {
        bufferedBytes: 0,
        send: (frame) => isOpen && queueMicrotask(() => server.received(frame)),
        close: (code = 1000, text = '') => end(code, text),
      };
    },
  };
  return pipe;
}

/** Lets every promise callback run that is due, and those that they make due. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
