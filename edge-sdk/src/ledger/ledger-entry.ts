import { type TokenLogprobs, unpackLogprobs } from '@tandem/shared';
import type { Origin } from './origin.js';

/** One generated token. `unverified` waits for a verdict; `accepted` for those before it; `settled` is final. */
export interface LedgerEntry {
  token: number;
  origin: Origin;
  state: 'unverified' | 'accepted' | 'settled';
  /** The chance that a verdict confirms it, as far as the device can tell; 1 for what needs none. */
  probability: number;
  /** Between the exit's likeliest two tokens. */
  margin: number;
  /** What the exit before it would have drafted, if there was one that was not sure. */
  earlier?: { stage: number; token: number; margin: number };
  /** The token that came second where this one was chosen. */
  second: number;
  /** Entropy (nats) of the distribution that it was chosen from on the device. */
  entropy: number;
  /** Where they were asked for: by whoever decided the token. */
  logprobs?: TokenLogprobs;
}

/** The cloud's own choice; `logprobs` as on the wire. */
export function cloudEntry(token: number, logprobs?: readonly number[]): LedgerEntry {
  const certain = { probability: 1, margin: 1, second: token, entropy: 0 };
  return {
    token,
    origin: { kind: 'cloud' },
    state: 'accepted',
    ...certain,
    ...(logprobs ? { logprobs: unpackLogprobs(logprobs) } : {}),
  };
}

/** A verdict has been told on it: right. */
export function confirm(entry: LedgerEntry, logprobs?: readonly number[]): void {
  if (entry.state !== 'unverified') return;
  if (logprobs) entry.logprobs = unpackLogprobs(logprobs);
  if (entry.origin.kind === 'exit') entry.origin = { ...entry.origin, verified: true };
  entry.state = 'accepted';
}

/** Nobody is there to ask: it becomes final as it is, and marked. */
export function settleUnasked(entry: LedgerEntry): void {
  if (entry.origin.kind === 'exit') entry.origin = { ...entry.origin, degraded: true };
  entry.state = 'accepted';
}
