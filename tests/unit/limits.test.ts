import { encodeMessage, FORMATS, HEADER_BYTES, limits, ROW_CODEC_NAMES } from '@tandem/shared';
import { expect, test } from 'vitest';

test('every limit is a positive whole number', () => {
  for (const [name, value] of Object.entries(limits)) expect(Number.isInteger(value) && value > 0, name).toBe(true);
});

test('the largest control maps that the schemas allow fit their limit', () => {
  const wants = Array(limits.FORWARD_WANTS_MAX).fill(0xffffffff);
  const sampling = {
    temperature: 0.1,
    topK: 1_000_000,
    topP: 0.1,
    minP: 0.1,
    seed: 0xffffffff,
    logprobs: limits.LOGPROBS_TOP_MAX,
  };
  const forward = {
    epoch: 0xffffffff,
    from: 0xffffffff,
    count: limits.FORWARD_ROWS_MAX,
    want: wants,
    drafts: wants,
    sampling,
    extend: limits.EXTEND_TOKENS_MAX,
    tokens: Array(limits.FORWARD_ROWS_MAX).fill(0xffffffff),
  };
  const verdict = {
    epoch: 0xffffffff,
    rows: wants,
    tokens: wants,
    mismatch: true,
    length: 0xffffffff,
    engineMs: 0.1,
    queueMs: 0.1,
    handedOver: true,
    logprobs: wants.map(() => [-0.1, ...Array(limits.LOGPROBS_TOP_MAX).fill([0xffffffff, -0.1]).flat()]),
  };
  const tokens = Array(limits.PASSAGE_TOKENS_MAX).fill(0xffffffff);
  const model = '\u{1f600}'.repeat(limits.MODEL_NAME_CHARS_MAX / 2);
  const error = { code: 'PROTOCOL_VIOLATION', message: '\u{1f600}'.repeat(512), retryAfterMs: 0.1 } as const;
  const frames = [
    encodeMessage('context-forward', forward),
    encodeMessage('verdict', verdict),
    encodeMessage('error', error),
    encodeMessage('passage', { epoch: 0xffffffff, row: 0xffffffff, tokens, model }),
  ];
  for (const frame of frames) expect(frame.length - HEADER_BYTES).toBeLessThanOrEqual(limits.CONTROL_BYTES_MAX);
});

test('a full forward of token ids fits a frame, and a frame at least one row of any width that a bundle may have', () => {
  const payloadBytesMax = limits.FRAME_BYTES_MAX - limits.CONTROL_BYTES_MAX - HEADER_BYTES;
  expect(4 * limits.FORWARD_ROWS_MAX).toBeLessThanOrEqual(payloadBytesMax);
  expect(4 * 65_536).toBeLessThanOrEqual(payloadBytesMax);
});

test('drafts fit the wants of one forward, with the one that has no draft', () => {
  expect(limits.DRAFT_LENGTH_MAX + 2).toBeLessThanOrEqual(limits.FORWARD_WANTS_MAX);
});

test('times are in order', () => {
  expect(limits.PASSAGE_LIFETIME_MS).toBeLessThan(limits.RESUME_WINDOW_MS);
  expect(limits.RECONNECT_DELAY_MS_MIN).toBeLessThan(limits.RECONNECT_DELAY_MS_MAX);
  // Whoever reconnects as slowly as allowed still finds the session, after a silence and with attempts to spare.
  const worstReconnectMs =
    limits.SILENCE_TIMEOUT_MS +
    limits.RECONNECT_ATTEMPTS_MAX * (limits.CONNECT_TIMEOUT_MS + limits.RECONNECT_DELAY_MS_MAX);
  expect(worstReconnectMs).toBeLessThan(limits.RESUME_WINDOW_MS);
  expect(limits.CONNECT_TIMEOUT_MS).toBeLessThanOrEqual(limits.SILENCE_TIMEOUT_MS);
});

test('names fit the fields of session-open', () => {
  for (const name of ROW_CODEC_NAMES) expect(name.length).toBeLessThanOrEqual(32);
  for (const name of FORMATS) expect(name.length).toBeLessThanOrEqual(16);
});
