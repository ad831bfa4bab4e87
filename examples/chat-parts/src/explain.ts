import type { ErrorCode } from '@tandem/edge';

/** What a person can do about it. Codes that are not here are bugs of the app or of the SDK: their own text says more. */
const WORDS: Partial<Record<ErrorCode, string>> = {
  ABORTED: 'Stopped.',
  BUNDLE_CORRUPT: 'The model arrived damaged. Try again later.',
  BUNDLE_NOT_FOUND: 'The model is not where this app looks for it.',
  CLOUD_UNAVAILABLE: 'The server cannot be reached. Try again when you are connected.',
  CONTEXT_TOO_LONG: 'That is too long for this model. Write less.',
  DOWNLOAD_FAILED: 'The download broke off. Try again: it goes on where it stopped.',
  ENGINE_UNAVAILABLE: 'This device cannot run the model.',
  MODEL_MISMATCH: 'This app and its server are of different versions. Reload, or update the app.',
  STORAGE_FULL: 'This device has no room left for the model. Free some space and try again.',
  UNAUTHORIZED: 'The server does not let you in. Sign in again.',
};

/** An error in words for the person in front of the screen. `error` may have crossed a port: only its fields count. */
export function explain(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: ErrorCode; message?: string };
  return (code && WORDS[code]) ?? message ?? String(error);
}
