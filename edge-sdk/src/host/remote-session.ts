import { type RowCodecName, TandemError } from '@tandem/shared';
import type { Observable } from 'rxjs';
import type { ChatMessage } from '../chat/chat-message.js';
import type { ConnectionState, EventStream, SessionEvent } from '../events.js';
import type { LinkState } from '../link/cloud-link.js';
import type { GenerateOptions } from '../options.js';
import { Generation } from '../session/generation.js';
import type { HostChannel } from './host-channel.js';
import { type HostEvent, type SessionFacts, unpackEvent } from './host-messages.js';
import type { AnySession } from './model-api.js';

/** A session that runs in a host; see `Session` for what everything means. */
export class RemoteSession implements AnySession {
  readonly #channel: HostChannel;
  readonly #number: number;
  readonly #events: EventStream;
  readonly codec: RowCodecName;
  readonly policy: { readonly name: string };
  #connection: LinkState;
  #disposing: Promise<void> | undefined;

  constructor(channel: HostChannel, number: number, events: EventStream, facts: SessionFacts) {
    this.#channel = channel;
    this.#number = number;
    this.#events = events;
    this.codec = facts.codec;
    this.policy = { name: facts.policy };
    this.#connection = facts.connection;
    if (facts.connection !== 'idle') events.emit({ kind: 'connection', state: facts.connection });
    events.connection.subscribe(({ state }) => {
      this.#connection = state;
    });
  }

  get events$(): Observable<SessionEvent> {
    return this.#events.observable;
  }

  get connection$(): Observable<ConnectionState> {
    return this.#events.connection;
  }

  get connection(): LinkState {
    return this.#connection;
  }

  generate(prompt: string, options: GenerateOptions = {}): Generation {
    return this.#tell('generate', prompt, options);
  }

  chat(messages: readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    return this.#tell('chat', messages, options);
  }

  continue({ signal }: { signal?: AbortSignal } = {}): Generation {
    return this.#tell('continue', undefined, signal ? { signal } : {});
  }

  save(): Promise<Uint8Array> {
    return this.#channel.call({ call: 'save', session: this.#number });
  }

  reconnect(): void {
    this.#channel.call({ call: 'reconnect', session: this.#number }).catch(() => {});
  }

  dispose(): Promise<void> {
    // A host that is gone has freed everything.
    const call = { call: 'dispose-session', session: this.#number } as const;
    this.#disposing ??= this.#channel
      .call<void>(call)
      .catch(() => {})
      .then(() => {
        this.#events.complete();
        this.#channel.closeSession(this.#number);
      });
    return this.#disposing;
  }

  /** What the host says of it. */
  heard(event: HostEvent): void {
    this.#events.emit(unpackEvent(event));
  }

  #tell(how: 'generate' | 'chat' | 'continue', input: unknown, options: GenerateOptions): Generation {
    const { signal, ...rest } = options;
    const left = new AbortController();
    const abort = () => left.abort(new TandemError('ABORTED', 'the loop over the parts was left'));
    return new Generation((emit) => {
      const stop = AbortSignal.any([left.signal, ...(signal ? [signal] : [])]);
      const call = { call: 'tell', session: this.#number, how, input, options: rest } as const;
      return this.#channel.call(call, { signal: stop, part: emit });
    }, abort);
  }
}
