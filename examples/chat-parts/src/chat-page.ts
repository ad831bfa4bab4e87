import type { LinkState, LoadProgress } from '@tandem/edge';
import type { Piece, Turn } from './conversation.js';
import { explain } from './explain.js';

/** Whoever answers: a Conversation in this page, or one behind a port. */
export interface ChatSource {
  answer(text: string, signal: AbortSignal): AsyncIterable<Piece>;
}

export interface ChatPageOptions {
  title: string;
  /** What stands in the empty text field. */
  hint: string;
}

const CONNECTION: Record<LinkState, string> = {
  idle: 'on this device',
  connecting: 'connecting…',
  open: 'connected',
  unavailable: 'offline',
  failed: 'refused',
  closed: 'closed',
};

/** The screen of a chat, in plain DOM: turns coloured by origin, a text field, a status line, the connection. */
export class ChatPage {
  readonly #status = create('p', { id: 'status', textContent: 'Loading…' });
  readonly #connection = create('p', { id: 'connection', className: 'connection' });
  readonly #turns = create('div', { id: 'turns', className: 'turns', tabIndex: 0 });
  readonly #text: HTMLTextAreaElement;
  readonly #send = create('button', { type: 'submit', textContent: 'Send', disabled: true });
  readonly #stop = create('button', { id: 'stop', type: 'button', textContent: 'Stop', disabled: true });
  #source: ChatSource | undefined;
  #running: AbortController | undefined;

  constructor(root: HTMLElement, { title, hint }: ChatPageOptions) {
    this.#text = create('textarea', { id: 'prompt', rows: 2, placeholder: hint });
    this.#status.role = 'status';
    this.#turns.role = 'log';
    this.#turns.ariaLabel = 'Conversation';
    const label = create('label', { htmlFor: 'prompt', className: 'aside', textContent: 'Your message' });
    const form = create('form', { className: 'ask' }, label, this.#text, this.#send, this.#stop);
    root.classList.add('chat');
    const heading = create('h1', { textContent: title });
    root.append(create('header', {}, heading, this.#connection), this.#turns, form, this.#status, legend());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.send();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.stop();
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.send();
    });
    this.#stop.addEventListener('click', () => this.stop());
  }

  set status(text: string) {
    this.#status.textContent = text;
  }

  set connection(state: LinkState) {
    this.#connection.dataset.state = state;
    this.#connection.textContent = CONNECTION[state];
  }

  set progress({ stage, loadedBytes, totalBytes }: LoadProgress) {
    this.status = `Loading, ${stage}: ${Math.round((100 * loadedBytes) / Math.max(1, totalBytes))} %`;
  }

  /** From now on there is somebody to talk to, or somebody else, maybe in mid-answer. `turns`: what was said before. */
  open(source: ChatSource, turns: readonly Turn[] = []): void {
    this.#source = source;
    for (const { by, text, pieces } of turns) this.#add(by).append(...(pieces?.map(span) ?? [text]));
    if (this.#running) return;
    this.#send.disabled = false;
    this.status = 'Ready.';
    this.#text.focus();
  }

  /** Whatever goes wrong is said in the page, in words that its reader can use. */
  async send(): Promise<void> {
    if (!this.#source || this.#running) return;
    const text = this.#text.value.trim();
    if (text === '' && this.#turns.childElementCount === 0) return;
    if (text) this.#add('you').append(text);
    this.#text.value = '';
    this.#running = new AbortController();
    this.#show(true);
    try {
      await this.#answer(this.#source.answer(text, this.#running.signal));
      this.status = 'Ready.';
    } catch (error) {
      this.status = explain(error);
    } finally {
      this.#running = undefined;
      this.#show(false);
    }
  }

  /** Whether there was something to stop. */
  stop(): boolean {
    this.#running?.abort();
    return this.#running !== undefined;
  }

  async #answer(pieces: AsyncIterable<Piece>): Promise<void> {
    const turn = this.#add('model');
    const provisional = create('span', { className: 'provisional' });
    // Drafts come and go: to a screen reader they would be noise, and so would half an answer.
    provisional.ariaHidden = 'true';
    turn.append(provisional);
    this.#turns.ariaBusy = 'true';
    try {
      for await (const piece of pieces) {
        provisional.textContent = piece.provisional;
        if (piece.text) provisional.before(span(piece));
        turn.scrollIntoView({ block: 'nearest' });
      }
    } finally {
      provisional.remove();
      if (turn.textContent === '') turn.remove();
      this.#turns.ariaBusy = 'false';
    }
  }

  #add(by: Turn['by']): HTMLElement {
    const turn = create('article', { className: `turn ${by}`, ariaLabel: by === 'you' ? 'You' : 'Model' });
    this.#turns.append(turn);
    return turn;
  }

  #show(isRunning: boolean): void {
    this.#send.disabled = isRunning;
    this.#stop.disabled = !isRunning;
    if (isRunning) this.status = 'Writing…';
  }
}

function span({ text, origin }: Pick<Piece, 'text' | 'origin'>): HTMLElement {
  return create('span', { className: origin ?? '' }, text);
}

function legend(): HTMLElement {
  const list = create('p', { className: 'legend' });
  for (const [origin, words] of [
    ['device', 'decided on the device'],
    ['cloud', 'in the cloud'],
    ['alone', 'while the cloud was away'],
  ]) {
    list.append(create('span', { className: origin! }, words!), ' ');
  }
  return list;
}

function create<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
