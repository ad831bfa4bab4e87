import { type Origin, originName, type TextPart } from '@tandem/edge';
import { create, element } from './elements.js';

/** A story as it grows: settled text coloured by origin, and behind it what the device expects next. */
export class StoryView {
  readonly #text: HTMLElement;
  readonly #note: HTMLElement;
  readonly #title: HTMLElement;
  readonly #provisional = create('span', { className: 'token provisional' });

  constructor(id: string) {
    this.#text = element(id);
    this.#note = element(`${id}-note`);
    this.#title = element(`${id}-title`);
    this.#text.append(create('span', { className: 'empty' }, 'Nothing told yet.'));
  }

  set title(text: string) {
    this.#title.textContent = text;
  }

  set note(text: string) {
    this.#note.textContent = text;
  }

  get text(): string {
    return this.#text.textContent ?? '';
  }

  begin(prompt: string): void {
    // Drafts come and go: to a screen reader they would be noise.
    this.#provisional.ariaHidden = 'true';
    this.#provisional.textContent = '';
    this.#text.replaceChildren(prompt, this.#provisional);
    this.#text.ariaBusy = 'true';
  }

  push({ text, tokens, provisional }: TextPart): void {
    this.#provisional.textContent = provisional;
    const origin = tokens.at(-1)?.origin;
    if (!text) return;
    const title = origin ? describeOrigin(origin) : '';
    const token = create('span', { className: `token ${className(origin)}`, title }, text);
    token.dataset.position = `${tokens.at(-1)!.position}`;
    this.#provisional.before(token);
  }

  /** Told which token is under the pointer, or was reached with the arrow keys; `undefined` when none is any more. */
  onPointed(listener: (position: number | undefined) => void): void {
    const point = (token: Element | null | undefined) => {
      for (const other of this.#text.querySelectorAll('.pointed')) other.classList.remove('pointed');
      token?.classList.add('pointed');
      const { position } = (token as HTMLElement | undefined)?.dataset ?? {};
      listener(position === undefined ? undefined : Number(position));
    };
    this.#text.tabIndex = 0;
    this.#text.addEventListener('pointerover', ({ target }) => point((target as Element).closest('[data-position]')));
    this.#text.addEventListener('pointerleave', () => point(undefined));
    this.#text.addEventListener('blur', () => point(undefined));
    this.#text.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft') return;
      event.preventDefault();
      const tokens = [...this.#text.querySelectorAll('[data-position]')];
      const current = tokens.findIndex((token) => token.classList.contains('pointed'));
      const next = event.key === 'ArrowRight' ? current + 1 : Math.max(0, current - 1);
      point(tokens[Math.min(next, tokens.length - 1)]);
    });
  }

  end(): void {
    this.#provisional.textContent = '';
    this.#text.ariaBusy = 'false';
  }
}

export function className(origin: Origin | undefined): string {
  if (!origin) return '';
  if (origin.kind === 'larger-model') return 'cloud';
  return origin.kind === 'exit' && origin.degraded ? 'alone' : originName(origin);
}

export function describeOrigin(origin: Origin): string {
  if (origin.kind === 'cloud') return 'chosen by the cloud';
  if (origin.kind === 'larger-model') return `written by ${origin.model}`;
  if (origin.degraded) return `exit ${origin.stage}, while the cloud was away`;
  return origin.verified
    ? `drafted at exit ${origin.stage}, confirmed by the cloud`
    : `settled at exit ${origin.stage}`;
}
