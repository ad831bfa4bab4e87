import { type ErrorCode, isTandemError } from '../errors.js';

/** An answer in the shape in which OpenAI's clients expect errors. */
export class OpenAiError extends Error {
  readonly status: number;
  readonly #details: { param?: string; code?: string };

  constructor(status: number, message: string, details: { param?: string; code?: string } = {}) {
    super(message);
    this.status = status;
    this.#details = details;
  }

  get body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { param = null, code = null } = this.#details;
    return { error: { message: this.message, type: typeOf(this.status), param, code } };
  }
}

/** Codes that say something about the request or the moment; every other failure is the server's. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_OPTION: 400,
  CONTEXT_TOO_LONG: 400,
  UNAUTHORIZED: 401,
  SERVER_BUSY: 429,
  SERVER_DRAINING: 503,
  CLOUD_UNAVAILABLE: 503,
  ENGINE_FAILED: 503,
};

/** Whatever was thrown, as an answer. The text of an unknown error stays inside: it may quote anything. */
export function toOpenAiError(error: unknown): OpenAiError {
  if (error instanceof OpenAiError) return error;
  if (!isTandemError(error)) return new OpenAiError(500, 'a bug of the server; its log says more');
  const code = error.code === 'CONTEXT_TOO_LONG' ? 'context_length_exceeded' : error.code;
  return new OpenAiError(STATUS[error.code] ?? 500, error.message, { code });
}

function typeOf(status: number): string {
  if (status === 401 || status === 403) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
