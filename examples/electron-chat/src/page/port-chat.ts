import type { Piece, Turn } from '@tandem/chat-parts';
import type { ChatSource } from '@tandem/chat-parts/page';
import type { HostMessage, PageMessage } from '../port-messages.js';

/** What the page side of a chat over ports tells its page. */
export interface PortChatEvents {
  told(message: Extract<HostMessage, { kind: 'progress' | 'ready' | 'failed' | 'connection' }>): void;
}

type Heard = Extract<HostMessage, { kind: 'piece' | 'end' }>;

/** Answers through a port. Keeps what was said: when the process at the other end is replaced, the next one gets it. */
export class PortChat implements ChatSource {
  readonly #turns: Turn[] = [];
  readonly #events: PortChatEvents;
  #port: MessagePort | undefined;
  #hear: ((message: Heard) => void) | undefined;
  #lastId = 0;

  constructor(events: PortChatEvents) {
    this.#events = events;
  }

  /** A first port, or that of a process that takes over. An answer that the last one was writing ends as it is. */
  connect(port: MessagePort): void {
    this.#port?.close();
    this.#hear?.({ kind: 'end', id: this.#lastId, error: { message: 'The model stopped and was started again.' } });
    this.#port = port;
    port.onmessage = ({ data }: MessageEvent<HostMessage>) => {
      if (data.kind === 'piece' || data.kind === 'end') this.#hear?.(data);
      else this.#events.told(data);
    };
    this.#say({ kind: 'begin', turns: this.#turns });
  }

  async *answer(text: string, signal: AbortSignal): AsyncGenerator<Piece> {
    const id = ++this.#lastId;
    const heard: Heard[] = [];
    let wake = () => {};
    this.#hear = (message) => {
      if (message.id !== id) return;
      heard.push(message);
      wake();
    };
    signal.addEventListener('abort', () => this.#say({ kind: 'stop', id }), { once: true });
    if (text) this.#turns.push({ by: 'you', text });
    const pieces: NonNullable<Turn['pieces']> = [];
    const turn: Turn = { by: 'model', text: '', pieces };
    this.#turns.push(turn);
    this.#say({ kind: 'ask', id, text });
    try {
      for (;;) {
        const message = heard.shift();
        if (!message) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        } else if (message.kind === 'piece') {
          const { piece } = message;
          turn.text += piece.text;
          if (piece.text) pieces.push({ text: piece.text, origin: piece.origin });
          yield piece;
        } else {
          if (message.error) throw message.error;
          return;
        }
      }
    } finally {
      this.#hear = undefined;
      if (turn.text === '') this.#turns.splice(this.#turns.indexOf(turn), 1);
    }
  }

  #say(message: PageMessage): void {
    this.#port?.postMessage(message);
  }
}
