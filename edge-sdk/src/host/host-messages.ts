import { type ErrorCode, type Manifest, type RowCodecName, TandemError } from '@tandem/shared';
import type { LoadProgress } from '../delivery/load-progress.js';
import type { SessionEvent } from '../events.js';
import type { LinkState } from '../link/cloud-link.js';
import type { TextPart } from '../session/generation.js';

/**
 * What crosses between an app and the worker or process that runs its model. Calls are numbered by the app, and so are its
 * sessions; whatever can be cloned goes as it is. Functions cannot: of those that a session asks for an address or a
 * credential only the names cross, and the host asks back.
 */
export type HostCall =
  | { call: 'load'; source: string; options: object }
  | { call: 'create'; session: number; options: object; asks: AskName[] }
  | { call: 'restore'; session: number; bytes: Uint8Array; options: object; asks: AskName[] }
  | { call: 'tell'; session: number; how: 'generate' | 'chat' | 'continue'; input: unknown; options: object }
  | { call: 'save'; session: number }
  | { call: 'reconnect'; session: number }
  | { call: 'dispose-session'; session: number }
  | { call: 'dispose' };

/** Functions of `cloud` that the host asks back for. */
export type AskName = 'url' | 'token';

export type ToHost =
  | ({ id: number } & HostCall)
  | { abort: number; reason: HostError | undefined }
  | { answer: number; value: unknown }
  /** The app's function threw: whatever it was, or one of ours. */
  | { answer: number; error: string | HostError };

export type FromHost =
  | { id: number; result: unknown }
  | { id: number; error: HostError }
  | { id: number; part: TextPart }
  | { progress: LoadProgress }
  /** Before the result of `load`, and again once it has changed: a GPU may be lost. */
  | { backend: string }
  | { session: number; event: HostEvent }
  | { ask: number; session: number; name: AskName };

/** Result of `load`. */
export interface ModelFacts {
  manifest: Manifest;
  format: string;
  tokenizerFiles: Record<string, Uint8Array>;
}

/** Result of `create` and `restore`. */
export interface SessionFacts {
  codec: RowCodecName;
  policy: string;
  connection: LinkState;
}

/** An error with all that an app may look at. */
export interface HostError {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  details: Record<string, unknown>;
}

/** Errors do not survive a clone as what they are. */
export type HostEvent = Exclude<SessionEvent, { kind: 'connection' }> | ConnectionEvent;

interface ConnectionEvent {
  kind: 'connection';
  state: LinkState;
  error?: HostError;
}

export function packError(error: unknown): HostError {
  if (error instanceof TandemError) {
    const { code, message, retryable, details } = error;
    return { code, message: message.slice(code.length + 2), retryable, details };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'ENGINE_FAILED', message, retryable: true, details: {} };
}

export function unpackError({ code, message, retryable, details }: HostError): TandemError {
  return new TandemError(code, message, { retryable, details });
}

export function packEvent(event: SessionEvent): HostEvent {
  if (event.kind !== 'connection') return event;
  const { kind, state, error } = event;
  return { kind, state, ...(error ? { error: packError(error) } : {}) };
}

export function unpackEvent(event: HostEvent): SessionEvent {
  if (event.kind !== 'connection') return event;
  const { kind, state, error } = event;
  return { kind, state, ...(error ? { error: unpackError(error) } : {}) };
}
