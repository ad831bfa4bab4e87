import type { ErrorCode } from '@tandem/shared';

/**
 * WebSocket close codes of the server, in one place; docs/PROTOCOL.md repeats them. 44xx follow HTTP's numbers where
 * one fits. A close with an error's code comes right after an `error` message that says more.
 */
export const CLOSE_CODES = {
  /** The client said `session-close`, or told of an error of its own. */
  done: 1000,
  /** The server stops; connect again. */
  restart: 1012,
  /** No `session-open` within OPEN_TIMEOUT_MS. Without an `error`: a slow link is no fault, try again. */
  openTimeout: 4408,
  /** The client does not read what it asked for. */
  slowReader: 4428,
} as const;

const ERROR_CLOSE_CODES: Partial<Record<ErrorCode, number>> = {
  MALFORMED_FRAME: 4400,
  UNAUTHORIZED: 4401,
  PROTOCOL_VIOLATION: 4403,
  SESSION_TAKEN: 4409,
  MODEL_MISMATCH: 4412,
  FRAME_TOO_LARGE: 4413,
  CONTEXT_TOO_LONG: 4414,
  INVALID_OPTION: 4422,
  SERVER_BUSY: 4429,
  ENGINE_FAILED: 4500,
  SERVER_DRAINING: CLOSE_CODES.restart,
};

/** Everything that has no number of its own is the engine's or ours. */
export function closeCodeOf(code: ErrorCode): number {
  return ERROR_CLOSE_CODES[code] ?? 4500;
}
