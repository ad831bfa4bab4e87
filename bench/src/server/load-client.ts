import { type Connect, decodeMessage, encodeMessage, type Message, type Messages } from '@tandem/shared';

/** A client that asks one thing at a time. */
export class LoadClient {
  readonly #transport;
  readonly #opened: Promise<void>;
  #answer: { resolve(message: Message): void; reject(error: Error): void } | undefined;

  constructor(connect: Connect) {
    let open = () => {};
    let fail = (_error: Error) => {};
    this.#opened = new Promise<void>((resolve, reject) => {
      open = resolve;
      fail = reject;
    });
    this.#opened.catch(() => {});
    this.#transport = connect({
      opened: () => open(),
      received: (frame) => this.#received(decodeMessage(frame)),
      closed: ({ code }) => {
        const error = new Error(`closed with ${code}`);
        fail(error);
        this.#answer?.reject(error);
      },
    });
  }

  async ask<Kind extends keyof Messages>(kind: Kind, control: Messages[Kind], payload?: Uint8Array): Promise<Message> {
    await this.#opened;
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
      this.#transport.send(encodeMessage(kind, control, payload));
    });
  }

  close(): void {
    this.#transport.send(encodeMessage('session-close', {}));
    this.#transport.close();
  }

  #received(message: Message): void {
    if (message.kind === 'error') this.#answer?.reject(new Error(message.control.code));
    else this.#answer?.resolve(message);
  }
}
