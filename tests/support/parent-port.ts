/**
 * Loaded before the script of a utility process (`node --import`): `process.parentPort` as Electron has it, on a Node child
 * process's own channel. The other end is tests/support/electron-stand-in.ts.
 */
import { EventEmitter } from 'node:events';

/** What crosses between the two stand-ins. */
export type ChannelMessage =
  | { kind: 'parent'; data: unknown; portIds: number[] }
  | { kind: 'port'; id: number; data: unknown };

class Port extends EventEmitter {
  readonly #id: number;
  #waiting: unknown[] | undefined = [];

  constructor(id: number) {
    super();
    this.#id = id;
  }

  postMessage(data: unknown): void {
    process.send!({ kind: 'port', id: this.#id, data } satisfies ChannelMessage);
  }

  /** Nothing is heard before that. */
  start(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const data of waiting) this.emit('message', { data });
  }

  deliver(data: unknown): void {
    if (this.#waiting) this.#waiting.push(data);
    else this.emit('message', { data });
  }
}

/** Keeps what comes before anybody listens. */
class ParentPort extends EventEmitter {
  #waiting: unknown[] = [];

  deliver(event: unknown): void {
    if (!this.emit('message', event)) this.#waiting.push(event);
  }

  override on(name: string, listener: (event: unknown) => void): this {
    super.on(name, listener);
    for (const event of this.#waiting.splice(0)) this.deliver(event);
    return this;
  }
}

const parentPort = new ParentPort();
const ports = new Map<number, Port>();

process.on('message', (message: ChannelMessage) => {
  if (message.kind === 'port') return ports.get(message.id)?.deliver(message.data);
  for (const id of message.portIds) ports.set(id, new Port(id));
  parentPort.deliver({ data: message.data, ports: message.portIds.map((id) => ports.get(id)) });
});
Object.assign(process, { parentPort });
