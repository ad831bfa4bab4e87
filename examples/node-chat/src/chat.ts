import { Conversation, explain, type Piece, type PieceOrigin } from '@tandem/chat-parts';
import type { EdgeModel, Session, SessionOptions } from '@tandem/edge';
import colors from 'picocolors';

export type Mode = NonNullable<SessionOptions['mode']>;

const PAINT: Record<PieceOrigin, (text: string) => string> = {
  device: colors.green,
  cloud: colors.magenta,
  alone: colors.yellow,
};

/** A conversation on a terminal, and the session that it runs in. */
export class Chat {
  readonly #model: EdgeModel;
  readonly #cloudUrl: string;
  readonly #write: (text: string) => void;
  #conversation: Conversation;
  #session: Session | undefined;
  #mode: Mode = 'exact';
  #running: AbortController | undefined;
  #isOver = false;

  static async start(model: EdgeModel, cloudUrl: string, write: (text: string) => void): Promise<Chat> {
    const chat = new Chat(model, cloudUrl, write);
    await chat.open('exact');
    return chat;
  }

  private constructor(model: EdgeModel, cloudUrl: string, write: (text: string) => void) {
    this.#model = model;
    this.#cloudUrl = cloudUrl;
    this.#write = write;
    this.#conversation = new Conversation(model);
  }

  get mode(): Mode {
    return this.#mode;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Another mode is another session. What was said stays: it is in the conversation. */
  async open(mode: Mode): Promise<void> {
    await this.#session?.dispose();
    this.#mode = mode;
    this.#session = await this.#model.createSession({
      mode,
      onCloudUnavailable: 'degrade',
      ...(mode === 'device-only' ? {} : { cloud: { url: this.#cloudUrl } }),
    });
  }

  greet(): void {
    const legend = [PAINT.device('decided on the device'), PAINT.cloud('in the cloud'), PAINT.alone('cloud away')];
    this.say(`${this.#model.manifest.name} on ${this.#model.backend}. ${legend.join(', ')}.`);
    this.say('Begin a story, press Enter to let it go on, /help for more.');
  }

  async answer(text: string): Promise<void> {
    if (!this.#session) return;
    this.#running = new AbortController();
    const rules = { temperature: 0.8, signal: this.#running.signal };
    try {
      let last = '';
      for await (const piece of this.#conversation.answer(this.#session, text, rules)) {
        this.#write(paint(piece));
        last = piece.text || last;
      }
      if (!last.endsWith('\n')) this.#write('\n');
    } catch (error) {
      this.say(`\n${explain(error)}`);
    } finally {
      this.#running = undefined;
    }
  }

  /** Whether there was something to stop. */
  stop(): boolean {
    this.#running?.abort();
    return this.#running !== undefined;
  }

  forget(): void {
    this.#conversation = new Conversation(this.#model);
    this.say('A blank page.');
  }

  end(): void {
    this.#isOver = true;
  }

  say(text: string): void {
    this.#write(`${colors.dim(text)}\n`);
  }
}

function paint({ text, origin }: Piece): string {
  return origin ? PAINT[origin](text) : text;
}
