import { readFileSync, writeFileSync } from 'node:fs';
import { decodeMessage, encodeMessage, type Messages } from '@tandem/shared';
import { expect, test } from 'vitest';
import { LARGER_MODEL_MESSAGES } from '../support/sample-messages.js';

/** The fields of sessions that allow a larger model, as bytes. Like protocol-frames.test.ts. */
const PATH = new URL('larger-model-frames.hex', import.meta.url);
const kinds = Object.keys(LARGER_MODEL_MESSAGES) as (keyof typeof LARGER_MODEL_MESSAGES)[];

const made = new Map(
  kinds.map((kind) => {
    const control = LARGER_MODEL_MESSAGES[kind] as unknown as Messages[typeof kind];
    return [kind, Buffer.from(encodeMessage(kind, control)).toString('hex')];
  }),
);
if (process.env.TANDEM_WRITE_GOLDEN) {
  writeFileSync(PATH, [...made].map(([kind, hex]) => `${kind} ${hex}\n`).join(''));
}

const lines = readFileSync(PATH, 'utf8').trim().split('\n');
const golden = new Map(lines.map((line) => line.split(' ') as [string, string]));

test.each(kinds)('%s is made of the same bytes as ever, and read from them', (kind) => {
  expect(made.get(kind)).toBe(golden.get(kind));
  expect(decodeMessage(Buffer.from(golden.get(kind)!, 'hex')).control).toEqual(LARGER_MODEL_MESSAGES[kind]);
});
