import type { TandemError } from '../errors.js';

/** What a transport reports. Each is called from its own turn of the event loop, in order, never after `closed`. */
export interface TransportHandlers {
  opened(): void;
  /** One whole frame. The bytes may start at any offset of their buffer, and belong to the receiver. */
  received(frame: Uint8Array): void;
  /** Exactly once per transport, also when opening failed. `error` is set when the peer or the network is at fault. */
  closed(reason: { code: number; text: string; error?: TandemError }): void;
}

/** An ordered, reliable channel of binary frames: a WebSocket, a memory pipe, a simulated link. */
export interface Transport {
  /** Bytes handed to `send` that have not left yet. */
  readonly bufferedBytes: number;
  /** Sends one frame. The caller does not touch the bytes afterwards. Silently dropped once closing. */
  send(frame: Uint8Array): void;
  close(code?: number, text?: string): void;
}

/** Opens a transport; handlers are called later, never inside the call. */
export type Connect = (handlers: TransportHandlers) => Transport;
