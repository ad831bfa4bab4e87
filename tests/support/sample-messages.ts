import type { MessageKind, Messages } from '@tandem/shared';

const sampling = { temperature: 0.7, topK: 40, topP: 0.95, minP: 0.05, seed: 4_294_967_295 };

/** One message of every kind, with optional fields; the golden file is made of them. */
export const SAMPLE_MESSAGES: { [Kind in MessageKind]: Messages[Kind] } = {
  'session-open': { model: 'ab12', format: 'q8', context: 'rows', codec: 'int8', capacity: 512, epoch: 3 },
  'session-opened': { epoch: 3, length: 70_000, forwardsInFlight: 2 },
  'session-close': {},
  'context-forward': { epoch: 3, from: 128, count: 2, want: [128, 129], drafts: [65_535], sampling, extend: 8 },
  verdict: { epoch: 3, rows: [128, 129], tokens: [65_535, 42], mismatch: true, length: 130, engineMs: 1.5, queueMs: 0 },
  'context-rewind': { epoch: 4, length: 0 },
  credit: { epoch: 4, length: 130 },
  ping: { nonce: 200 },
  pong: { nonce: 4_294_967_295 },
  drain: { deadlineMs: 10_000 },
  error: { code: 'SERVER_BUSY', message: 'all 64 sessions are taken', retryAfterMs: 250.5 },
  passage: { epoch: 5, row: 130, tokens: [7, 65_535], model: 'qwen3:8b' },
};

/** Messages that fields were added to after the golden file was written: the older bytes still mean what they did. */
export const LARGER_MODEL_MESSAGES = {
  'session-open': { ...SAMPLE_MESSAGES['session-open'], largerModel: 'allow' },
  'session-opened': { ...SAMPLE_MESSAGES['session-opened'], largerModel: 'qwen3:8b' },
  'context-forward': { ...SAMPLE_MESSAGES['context-forward'], tokens: [7, 65_535] },
  verdict: { ...SAMPLE_MESSAGES.verdict, handedOver: true },
} as const satisfies { [Kind in MessageKind]?: unknown };

export const SAMPLE_PAYLOAD = Uint8Array.of(1, 2, 3, 4, 5);
