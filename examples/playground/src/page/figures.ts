import type { GenerationResult, SessionEvent } from '@tandem/edge';
import type { Clock } from '@tandem/shared';
import { create, element } from './elements.js';

const NAMES = [
  'tokens',
  'tokens per second',
  'first token',
  'round trips',
  'bytes up',
  'bytes down',
  'drafts confirmed',
  'cloud time',
  'equal to cloud-only',
  'cloud time saved',
] as const;
type Name = (typeof NAMES)[number];

/** The counters: they run while a story is told, and are the result's own at its end. */
export class Figures {
  readonly #values = new Map<Name, HTMLElement>();
  readonly #clock: Clock;
  #startMs = 0;
  #settled = 0;
  #confirmed = 0;
  #judged = 0;
  #roundTrips = 0;
  #bytesUp = 0;
  #cloudMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    for (const name of NAMES) {
      const value = create('dd', {}, '–');
      this.#values.set(name, value);
      element('figures').append(create('div', {}, create('dt', {}, name), value));
    }
  }

  begin(): void {
    this.#settled = this.#confirmed = this.#judged = this.#roundTrips = this.#bytesUp = this.#cloudMs = 0;
    this.#startMs = this.#clock.now();
    for (const value of this.#values.values()) value.textContent = '–';
  }

  event(event: SessionEvent): void {
    if (event.kind === 'settled') this.#count(event.origin);
    if (event.kind === 'forward') this.#bytesUp += event.bytes;
    if (event.kind === 'verdict') {
      if (event.roundTripMs !== undefined) this.#roundTrips++;
      this.#cloudMs += event.engineMs + event.queueMs;
    }
    this.#show('tokens', `${this.#settled}`);
    this.#show('round trips', `${this.#roundTrips}`);
    this.#show('bytes up', bytes(this.#bytesUp));
    this.#show('cloud time', ms(this.#cloudMs));
    this.#show('drafts confirmed', this.#judged > 0 ? `${Math.round((100 * this.#confirmed) / this.#judged)} %` : '–');
  }

  end({ tokens, timings, transfer }: GenerationResult): void {
    this.#show('tokens', `${tokens.length}`);
    this.#show('tokens per second', rate(tokens.length, timings.elapsedMs));
    this.#show('first token', ms(timings.timeToFirstTokenMs));
    this.#show('round trips', `${transfer.roundTrips}`);
    this.#show('bytes up', bytes(transfer.bytesUp));
    this.#show('bytes down', bytes(transfer.bytesDown));
    this.#show('cloud time', ms(timings.cloudMs));
  }

  /** With the same story, told with all layers on the server. */
  compare(here: GenerationResult, there: GenerationResult): void {
    const equal = here.tokens.filter(({ id }, index) => id === there.tokens[index]?.id).length;
    this.#show('equal to cloud-only', `${Math.floor((100 * equal) / Math.max(1, here.tokens.length))} %`);
    this.#show('cloud time saved', ms(there.timings.cloudMs - here.timings.cloudMs));
  }

  #count(origin: Extract<SessionEvent, { kind: 'settled' }>['origin']): void {
    const elapsedMs = this.#clock.now() - this.#startMs;
    if (this.#settled === 0) this.#show('first token', ms(elapsedMs));
    this.#settled++;
    this.#show('tokens per second', rate(this.#settled, elapsedMs));
    const isConfirmed = origin.kind === 'exit' && origin.verified;
    if (origin.kind === 'cloud' || isConfirmed) this.#judged++;
    if (isConfirmed) this.#confirmed++;
  }

  #show(name: Name, text: string): void {
    this.#values.get(name)!.textContent = text;
  }
}

export function ms(value: number): string {
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function rate(tokens: number, elapsedMs: number): string {
  return ((1000 * tokens) / Math.max(1, elapsedMs)).toFixed(1);
}

function bytes(value: number): string {
  return value < 10_000 ? `${value} B` : `${(value / 1000).toFixed(1)} kB`;
}
