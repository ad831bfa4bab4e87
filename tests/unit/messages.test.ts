import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  isTandemError,
  KINDS,
  limits,
  MESSAGE_SCHEMAS,
  type MessageKind,
  type Messages,
  seededRandom,
} from '@tandem/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SAMPLE_MESSAGES, SAMPLE_PAYLOAD } from '../support/sample-messages.js';

const kinds = Object.keys(KINDS) as MessageKind[];
const MUTATED_FRAMES = 50_000;

/** Encodes what the types forbid. */
function encodeAnything(kind: MessageKind, control: unknown): Uint8Array {
  return encodeMessage(kind, control as Messages[typeof kind]);
}

test('every kind has a schema and every schema a kind', () => {
  expect(Object.keys(MESSAGE_SCHEMAS)).toEqual(kinds);
});

describe.each(kinds)('%s', (kind) => {
  const sample = SAMPLE_MESSAGES[kind] as Record<string, unknown>;

  test('comes back as it was, from any offset of a buffer', () => {
    const encoded = encodeMessage(kind, SAMPLE_MESSAGES[kind], SAMPLE_PAYLOAD);
    const buffer = new Uint8Array(encoded.length + 3);
    buffer.set(encoded, 3);
    expect(decodeMessage(buffer.subarray(3))).toEqual({ kind, control: sample, payload: SAMPLE_PAYLOAD });
  });

  test('may not have unknown keys', () => {
    expect(() => decodeMessage(encodeAnything(kind, { ...sample, extra: 1 }))).toThrow(/MALFORMED_FRAME.*extra/);
  });

  const names = Object.keys(sample);
  if (names.length === 0) return;
  test('may not miss what is not optional', () => {
    for (const name of names) {
      const { [name]: _left, ...rest } = sample;
      const isOptional = ['sampling', 'extend', 'retryAfterMs'].includes(name);
      const decode = () => decodeMessage(encodeAnything(kind, rest));
      if (isOptional) expect(decode().control).not.toHaveProperty(name);
      else expect(decode).toThrow(`MALFORMED_FRAME: ${kind}: ${name}: `);
    }
  });

  test('may not have values of another type', () => {
    for (const name of names) {
      const wrong = typeof sample[name] === 'string' ? 5 : 'five';
      expect(() => decodeMessage(encodeAnything(kind, { ...sample, [name]: wrong }))).toThrow(
        `MALFORMED_FRAME: ${kind}: ${name}: `,
      );
    }
  });
});

test.each<[MessageKind, string, unknown]>([
  ['ping', 'nonce', -1],
  ['ping', 'nonce', 1.5],
  ['ping', 'nonce', 2 ** 32],
  ['ping', 'nonce', NaN],
  ['drain', 'deadlineMs', Infinity],
  ['drain', 'deadlineMs', -1],
  ['verdict', 'mismatch', 1],
  ['verdict', 'rows', Array(limits.FORWARD_WANTS_MAX + 1).fill(1)],
  ['verdict', 'tokens', [-1]],
  ['session-open', 'model', 'x'.repeat(129)],
  ['session-open', 'format', 'x'.repeat(17)],
  ['session-open', 'codec', 'x'.repeat(33)],
  ['session-open', 'context', 'pictures'],
  ['session-opened', 'forwardsInFlight', 0],
  ['context-forward', 'count', limits.FORWARD_ROWS_MAX + 1],
  ['context-forward', 'extend', limits.EXTEND_TOKENS_MAX + 1],
  ['context-forward', 'want', [1.5]],
  ['context-forward', 'sampling', { temperature: 0.5, more: 1 }],
  ['context-forward', 'sampling', { temperature: 11 }],
  ['context-forward', 'sampling', { topP: 0 }],
  ['error', 'code', 'NO_SUCH_CODE'],
  ['error', 'message', 'x'.repeat(1_025)],
])('%s with %s = %j is refused', (kind, name, value) => {
  const control = { ...SAMPLE_MESSAGES[kind], [name]: value };
  expect(() => decodeMessage(encodeAnything(kind, control))).toThrow(`MALFORMED_FRAME: ${kind}: ${name}`);
});

test('a key that would reach the prototype is refused and changes nothing', () => {
  const key = Buffer.from('__proto__');
  const control = Uint8Array.from([0x81, 0xa0 | key.length, ...key, 0x81, 0xa1, 0x78, 1]);
  expect(() => decodeMessage(encodeFrame('session-close', control, new Uint8Array(0)))).toThrow(/MALFORMED_FRAME/);
  expect({}).not.toHaveProperty('x');
});

test('every number that a field allows comes back', () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.double({ min: 0, noNaN: true, max: 1e300 }),
    (nonce, ms) => {
      expect(decodeMessage(encodeMessage('pong', { nonce })).control).toEqual({ nonce });
      expect(decodeMessage(encodeMessage('drain', { deadlineMs: ms })).control).toEqual({ deadlineMs: ms });
    },
  );
  fc.assert(property, { numRuns: 500, seed: 3 });
  for (let nonce = 0; nonce < 300; nonce++) {
    expect(decodeMessage(encodeMessage('pong', { nonce })).control).toEqual({ nonce });
  }
});

/** Frames whose checksum is right again after the change, so that the deeper checks are reached. */
test(`${MUTATED_FRAMES} damaged frames are read or refused, and never anything else`, () => {
  const random = seededRandom(99);
  const upTo = (end: number) => Math.floor(random.next() * end);
  const samples = kinds.map((kind) => encodeMessage(kind, SAMPLE_MESSAGES[kind], SAMPLE_PAYLOAD));
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < MUTATED_FRAMES; i++) {
    const kind = kinds[i % kinds.length]!;
    const control = samples[i % kinds.length]!.slice(16, -SAMPLE_PAYLOAD.length);
    for (let change = 0; change <= upTo(3); change++) control[upTo(control.length)] = upTo(256);
    const cut = upTo(4) === 0 ? control.slice(0, upTo(control.length)) : control;
    const frame = encodeFrame(kind, cut, SAMPLE_PAYLOAD);
    // Every other frame is damaged in its header, too.
    if (i % 2 === 0) frame[upTo(16)] = upTo(256);
    try {
      decodeMessage(frame);
      outcomes.read++;
    } catch (error) {
      if (!isTandemError(error) || !['MALFORMED_FRAME', 'FRAME_TOO_LARGE'].includes(error.code)) {
        expect.fail(`frame ${i}, ${Buffer.from(frame).toString('hex')}: ${error}`);
      }
      outcomes.refused++;
    }
  }
  expect(outcomes.refused).toBeGreaterThan(MUTATED_FRAMES / 2);
});
