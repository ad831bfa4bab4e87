import type { TandemError } from '@tandem/shared';
import { Observable, Subject } from 'rxjs';
import type { Origin } from './ledger/origin.js';
import type { LinkState } from './link/cloud-link.js';

/** What happens inside a session, for telemetry and user interfaces. Holds token ids: as sensitive as the text. */
export type SessionEvent =
  | {
      kind: 'draft';
      position: number;
      token: number;
      stage: number;
      maxProbability: number;
      decision: 'accept' | 'verify';
      /** Of the second continuation, in case a draft of the main one is wrong. */
      isBranch: boolean;
    }
  | { kind: 'settled'; position: number; token: number; origin: Origin }
  | { kind: 'forward'; epoch: number; from: number; count: number; wants: number; bytes: number }
  | {
      kind: 'verdict';
      epoch: number;
      tokens: number;
      mismatch: boolean;
      roundTripMs: number | undefined;
      engineMs: number;
      queueMs: number;
    }
  /** `adopted`: drafts of a branch that had foreseen the verdict. */
  | { kind: 'rolled-back'; length: number; dropped: number; adopted: number }
  /** A larger model was asked from `position` on, it wrote `tokens`, or it did not and the small model goes on. */
  | { kind: 'larger-model'; state: 'asked' | 'gave-up'; position: number }
  | { kind: 'larger-model'; state: 'wrote'; position: number; tokens: number; model: string }
  | { kind: 'rewound'; length: number }
  | { kind: 'degraded'; tokens: number }
  /** The server lacks so many rows of settled text, and gets them. `predictedMs`: undefined where nothing was measured. */
  | { kind: 'catch-up'; state: 'began'; rows: number; bytes: number; predictedMs: number | undefined }
  /** It has them; `bytes` and `elapsedMs` are what it took. */
  | {
      kind: 'catch-up';
      state: 'done';
      rows: number;
      bytes: number;
      predictedMs: number | undefined;
      elapsedMs: number;
    }
  | { kind: 'connection'; state: LinkState; error?: TandemError };

/** How the session's connection is doing; `error` where one ended it or keeps it from being made. */
export interface ConnectionState {
  state: LinkState;
  error?: TandemError;
}

/** The only door to rxjs: subjects inside, observables outside. */
export class EventStream {
  readonly #subject = new Subject<SessionEvent>();
  #connection: ConnectionState = { state: 'idle' };
  readonly #connections = new Subject<ConnectionState>();
  readonly observable: Observable<SessionEvent> = this.#subject.asObservable();
  /** Whoever subscribes late still has to know whether the user is offline. */
  readonly connection = new Observable<ConnectionState>((subscriber) => {
    subscriber.next(this.#connection);
    return this.#connections.subscribe(subscriber);
  });

  emit(event: SessionEvent): void {
    this.#subject.next(event);
    if (event.kind !== 'connection') return;
    const { state, error } = event;
    this.#connection = { state, ...(error ? { error } : {}) };
    this.#connections.next(this.#connection);
  }

  complete(): void {
    this.#subject.complete();
    this.#connections.complete();
  }
}
