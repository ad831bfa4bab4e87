/**
 * The one error class of Tandem and its code table.
 *
 * Three kinds of failure are kept apart: `assert` for bugs of ours, `TandemError` for what cannot go on,
 * and returned values for what is expected (a rewind, a mismatch).
 */

/** Every code, and whether trying again, unchanged, can help. What they mean: error-meanings.ts. */
export const ERROR_CODES = {
  INVALID_OPTION: { retryable: false },
  UNSUPPORTED_ARCHITECTURE: { retryable: false },
  CHECKPOINT_INVALID: { retryable: false },
  CHECKPOINT_NOT_FOUND: { retryable: false },
  DOWNLOAD_FAILED: { retryable: true },
  DISK_FULL: { retryable: false },
  BUNDLE_NOT_FOUND: { retryable: false },
  BUNDLE_CORRUPT: { retryable: false },
  ROWS_COUPLED: { retryable: false },
  STORAGE_FULL: { retryable: false },
  MODEL_MISMATCH: { retryable: false },
  SAVE_CORRUPT: { retryable: false },
  SAVE_UNSUPPORTED: { retryable: false },
  UNAUTHORIZED: { retryable: false },
  CONTEXT_TOO_LONG: { retryable: false },
  MALFORMED_FRAME: { retryable: false },
  FRAME_TOO_LARGE: { retryable: false },
  PROTOCOL_VIOLATION: { retryable: false },
  CLOUD_UNAVAILABLE: { retryable: true },
  SERVER_BUSY: { retryable: true },
  SERVER_DRAINING: { retryable: true },
  SESSION_TAKEN: { retryable: false },
  ENGINE_FAILED: { retryable: true },
  ENGINE_UNAVAILABLE: { retryable: false },
  ABORTED: { retryable: false },
  DISPOSED: { retryable: false },
} as const satisfies Record<string, { retryable: boolean }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface TandemErrorOptions {
  /** The failure below this one. */
  cause?: unknown;
  /** Overrides the code's default. */
  retryable?: boolean;
  /** Figures behind the message, for programs. */
  details?: Record<string, unknown>;
}

/**
 * What cannot go on. `code` is stable; the message says what came, what is allowed and what to do,
 * as in `FRAME_TOO_LARGE: 9437184 bytes, limit 8388608; send fewer rows per frame`.
 */
export class TandemError extends Error {
  override readonly name = 'TandemError';
  readonly code: ErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: TandemErrorOptions = {}) {
    super(`${code}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable;
    this.details = options.details ?? {};
  }
}

export function isTandemError(value: unknown): value is TandemError {
  return value instanceof TandemError;
}

/** A bug of ours if it fails. Throws; never exits the process. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
