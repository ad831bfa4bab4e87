import { type EnginePort, TandemError } from '@tandem/shared';
import type { LoadProgress } from '../delivery/load-progress.js';
import type { TextPart } from '../session/generation.js';
import {
  type AskName,
  type FromHost,
  type HostCall,
  type HostEvent,
  packError,
  type ToHost,
  unpackError,
} from './host-messages.js';

/** What a session on this side of the port hears and is asked. */
export interface SessionEnd {
  event(event: HostEvent): void;
  ask(name: AskName): Promise<unknown>;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  part?: (part: TextPart) => void;
  progress?: (progress: LoadProgress) => void;
}

interface Pending extends CallOptions {
  resolve(result: unknown): void;
  reject(error: TandemError): void;
}

/** The app's end: numbered calls, what comes between them, and what becomes of them when the host is gone. */
export class HostChannel {
  readonly #port: EnginePort;
  readonly #pending = new Map<number, Pending>();
  readonly #sessions = new Map<number, SessionEnd>();
  readonly #busy: (isBusy: boolean) => void;
  #hasHeard = false;
  #backend = '';
  #calls = 0;
  #opened = 0;
  #gone: TandemError | undefined;

  /** `busy`: told whenever something begins to be under way or open, and when nothing is any more. */
  constructor(port: EnginePort, busy: (isBusy: boolean) => void = () => {}) {
    this.#port = port;
    this.#busy = busy;
    port.listen((message) => this.#received(message as FromHost));
  }

  /** Whether the host has said anything yet. */
  get hasHeard(): boolean {
    return this.#hasHeard;
  }

  /** What the model runs on, as the host said last. */
  get backend(): string {
    return this.#backend;
  }

  /** A number for a session; from now on it hears what is its. */
  openSession(end: SessionEnd): number {
    this.#sessions.set(++this.#opened, end);
    this.#tellBusy();
    return this.#opened;
  }

  closeSession(session: number): void {
    this.#sessions.delete(session);
    this.#tellBusy();
  }

  call<Result>(call: HostCall, options: CallOptions = {}): Promise<Result> {
    const id = ++this.#calls;
    const { signal } = options;
    return new Promise<unknown>((resolve, reject) => {
      if (this.#gone) throw this.#gone;
      const onAbort = () => this.#post({ abort: id, reason: reasonOf(signal) });
      const settle = () => {
        signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(id);
        this.#tellBusy();
      };
      this.#pending.set(id, {
        ...options,
        resolve: (result) => {
          settle();
          resolve(result);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      this.#tellBusy();
      this.#post({ id, ...call });
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    }) as Promise<Result>;
  }

  /** Rejects everything that is under way, and all that is still to come. */
  lost(reason: TandemError): void {
    this.#gone ??= reason;
    for (const { reject } of [...this.#pending.values()]) reject(reason);
    this.#sessions.clear();
    this.#tellBusy();
  }

  #post(message: ToHost): void {
    this.#port.post(message);
  }

  #tellBusy(): void {
    this.#busy(this.#pending.size > 0 || this.#sessions.size > 0);
  }

  #received(message: FromHost): void {
    this.#hasHeard = true;
    if ('ask' in message) return void this.#answer(message.ask, message.session, message.name);
    if ('event' in message) return this.#sessions.get(message.session)?.event(message.event);
    if ('backend' in message) {
      this.#backend = message.backend;
      return;
    }
    if ('progress' in message) {
      for (const { progress } of this.#pending.values()) progress?.(message.progress);
      return;
    }
    const pending = this.#pending.get(message.id);
    if ('part' in message) pending?.part?.(message.part);
    else if ('error' in message) pending?.reject(unpackError(message.error));
    else pending?.resolve(message.result);
  }

  async #answer(answer: number, session: number, name: AskName): Promise<void> {
    try {
      this.#post({ answer, value: await this.#sessions.get(session)?.ask(name) });
    } catch (error) {
      this.#post({ answer, error: error instanceof TandemError ? packError(error) : String(error) });
    }
  }
}

/** Whatever else an app aborts with means only that it does. */
function reasonOf(signal: AbortSignal | undefined) {
  return signal?.reason instanceof TandemError ? packError(signal.reason) : undefined;
}
