import { readFileSync, writeFileSync } from 'node:fs';
import { decodeMessage, encodeMessage, KINDS, type MessageKind } from '@tandem/shared';
import { expect, test } from 'vitest';
import { SAMPLE_MESSAGES, SAMPLE_PAYLOAD } from '../support/sample-messages.js';

/**
 * The wire as bytes, one message of every kind. A difference here breaks every peer that is already out there: it
 * needs a new version of the subprotocol. `TANDEM_WRITE_GOLDEN=1` writes the file for such a version.
 */
const PATH = new URL('protocol-frames.hex', import.meta.url);
const kinds = Object.keys(KINDS) as MessageKind[];

const made = new Map(
  kinds.map((kind) => {
    const payload = kind === 'context-forward' ? SAMPLE_PAYLOAD : undefined;
    return [kind, Buffer.from(encodeMessage(kind, SAMPLE_MESSAGES[kind], payload)).toString('hex')];
  }),
);
if (process.env.TANDEM_WRITE_GOLDEN) {
  writeFileSync(PATH, [...made].map(([kind, hex]) => `${kind} ${hex}\n`).join(''));
}

const golden = new Map(
  readFileSync(PATH, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' ') as [MessageKind, string]),
);

test('the file has every kind once', () => {
  expect([...golden.keys()]).toEqual(kinds);
});

test.each(kinds)('%s is made of the same bytes as ever', (kind) => {
  expect(made.get(kind)).toBe(golden.get(kind));
});

test.each(kinds)('%s is read from bytes that were written long ago', (kind) => {
  const { control, payload, ...rest } = decodeMessage(Buffer.from(golden.get(kind)!, 'hex'));
  expect(rest).toEqual({ kind });
  expect(control).toEqual(SAMPLE_MESSAGES[kind]);
  expect([...payload]).toEqual(kind === 'context-forward' ? [...SAMPLE_PAYLOAD] : []);
});
