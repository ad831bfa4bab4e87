import type { Messages } from '@tandem/shared';
import type { EventStream } from '../events.js';

/** What a session's events say of a larger model: asked, wrote, or gave up. */
export class HandOver {
  readonly #events: EventStream;
  /** Position from which on it was asked, and has not written. */
  #position: number | undefined;

  constructor(events: EventStream) {
    this.#events = events;
  }

  judged({ handedOver, length }: Messages['verdict']): void {
    const before = this.#position;
    // Row `length` is the one that has no answer yet.
    this.#position = handedOver ? length + 1 : undefined;
    if (this.#position !== undefined) this.#emit('asked', this.#position);
    else if (before !== undefined) this.#emit('gave-up', before);
  }

  written({ tokens, model }: Messages['passage'], position: number): void {
    this.#position = undefined;
    this.#events.emit({ kind: 'larger-model', state: 'wrote', position, tokens: tokens.length, model });
  }

  #emit(state: 'asked' | 'gave-up', position: number): void {
    this.#events.emit({ kind: 'larger-model', state, position });
  }
}
