import type { ErrorCode } from './errors.js';

/** What every code means, for docs/ERRORS.md. In a file of its own: no page has to load it. */
export const ERROR_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  INVALID_OPTION: 'An option is unknown or has a value that is not allowed.',
  UNSUPPORTED_ARCHITECTURE: 'The checkpoint has an architecture that Tandem cannot build.',
  CHECKPOINT_INVALID: 'A checkpoint file is missing, truncated or contradicts its config.',
  CHECKPOINT_NOT_FOUND: 'The hub has no such model, revision or file, or not for you.',
  DOWNLOAD_FAILED: 'A download broke off or gave other bytes than announced.',
  DISK_FULL: 'No room is left on the disk.',
  BUNDLE_NOT_FOUND: 'The bundle folder or one of its files is missing.',
  BUNDLE_CORRUPT: 'A bundle file does not match the size or sha256 in its manifest, or the manifest cannot be read.',
  ROWS_COUPLED:
    "A stage has an operator whose result for one row depends on others: sessions would change each other's text.",
  STORAGE_FULL: 'The browser grants too little storage for the bundle.',
  MODEL_MISMATCH: 'Device and server, or device and saved session, hold different models, cuts or formats.',
  SAVE_CORRUPT: 'The bytes of a saved session are damaged, or none.',
  SAVE_UNSUPPORTED: 'A session was saved by a version that this one cannot read.',
  UNAUTHORIZED: 'The server refused the credential.',
  CONTEXT_TOO_LONG: 'Prompt and output do not fit the context of the model.',
  MALFORMED_FRAME: 'A frame breaks the wire format.',
  FRAME_TOO_LARGE: 'A frame is larger than its limit.',
  PROTOCOL_VIOLATION: 'A well-formed message that is not allowed in this state.',
  CLOUD_UNAVAILABLE: 'The server cannot be reached, and the session may not go on without it.',
  SERVER_BUSY: 'The server is at a limit and refuses new work.',
  SERVER_DRAINING: 'The server is shutting down; connect again.',
  SESSION_TAKEN: 'Another connection took this session over.',
  ENGINE_FAILED: 'The engine process or worker stopped or reported an error.',
  ENGINE_UNAVAILABLE: 'The inference runtime is not installed or cannot start.',
  ABORTED: 'The caller aborted.',
  DISPOSED: 'The model or session was disposed before.',
};
