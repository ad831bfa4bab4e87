import { ERROR_CODES, type MessageKind } from '@tandem/shared';
import type { Plain } from './reference-msgpack.js';

/** docs/PROTOCOL.md as a table: what each field of each message may be. Written down again, not taken from the schemas. */
export type Field =
  | { type: 'integer'; min: number; max: number }
  | { type: 'number'; min: number; max: number; openMin?: true; openMax?: true }
  | { type: 'text'; min: number; max: number }
  | { type: 'choice'; of: readonly Plain[] }
  | { type: 'list'; of: Field; min: number; max: number }
  | { type: 'map'; of: Fields };

export type Fields = Record<string, { field: Field; missing: 'refused' | 'left out' | Plain }>;

const MAX32 = 4_294_967_295;
const u32: Field = { type: 'integer', min: 0, max: MAX32 };
const integer = (min: number, max: number): Field => ({ type: 'integer', min, max });
const text = (max: number, min = 0): Field => ({ type: 'text', min, max });
const choice = (...of: Plain[]): Field => ({ type: 'choice', of });
const list = (of: Field, max: number, min = 0): Field => ({ type: 'list', of, min, max });
const milliseconds: Field = { type: 'number', min: 0, max: Number.MAX_VALUE };
const need = (field: Field) => ({ field, missing: 'refused' as const });
const may = (field: Field) => ({ field, missing: 'left out' as const });
const or = (field: Field, value: Plain) => ({ field, missing: value });

const sampling: Field = {
  type: 'map',
  of: {
    temperature: or({ type: 'number', min: 0, max: 10 }, 0),
    topK: or(integer(0, 1_000_000), 0),
    topP: or({ type: 'number', min: 0, max: 1, openMin: true }, 1),
    minP: or({ type: 'number', min: 0, max: 1, openMax: true }, 0),
    seed: or(u32, 0),
    logprobs: may(integer(0, 5)),
  },
};

export const FIELDS: Record<MessageKind, Fields> = {
  'session-open': {
    model: need(text(128)),
    format: need(text(16)),
    context: need(choice('rows', 'tokens')),
    codec: need(text(32)),
    capacity: need(u32),
    epoch: need(u32),
    prefix: may(list(text(22, 22), 64)),
    resume: may(text(64)),
    returns: may(choice(true, false)),
    largerModel: may(choice('allow', 'never')),
    ledger: may(u32),
  },
  'session-opened': {
    epoch: need(u32),
    length: need(u32),
    forwardsInFlight: need(integer(1, 64)),
    prefix: may(u32),
    resume: may(text(64)),
    largerModel: may(text(128)),
  },
  'session-close': {},
  'context-forward': {
    epoch: need(u32),
    from: need(u32),
    count: need(integer(0, 1_024)),
    want: need(list(u32, 64)),
    drafts: need(list(u32, 64)),
    sampling: may(sampling),
    asTokens: may(choice(true)),
    extend: may(integer(0, 8_192)),
    prefix: may(integer(0, 64)),
    tokens: may(list(u32, 1_024)),
  },
  verdict: {
    epoch: need(u32),
    rows: need(list(u32, 64)),
    tokens: need(list(u32, 64)),
    mismatch: need(choice(true, false)),
    length: need(u32),
    engineMs: need(milliseconds),
    queueMs: need(milliseconds),
    logprobs: may(list(list({ type: 'number', min: -Number.MAX_VALUE, max: Number.MAX_VALUE }, 11, 1), 64)),
    handedOver: may(choice(true, false)),
  },
  'context-rewind': { epoch: need(u32), length: need(u32) },
  credit: { epoch: need(u32), length: need(u32) },
  ping: { nonce: need(u32) },
  pong: { nonce: need(u32) },
  drain: { deadlineMs: need(milliseconds) },
  error: {
    code: need(choice(...Object.keys(ERROR_CODES))),
    message: need(text(1_024)),
    retryAfterMs: may(milliseconds),
  },
  passage: { epoch: need(u32), row: need(u32), tokens: need(list(u32, 8, 1)), model: need(text(128)) },
};

/** The map as an object with its defaults, or undefined if it is not what the table says. */
export function readFields(map: Map<string, Plain>, fields: Fields): Record<string, unknown> | undefined {
  for (const key of map.keys()) if (!Object.hasOwn(fields, key)) return undefined;
  const read: Record<string, unknown> = {};
  for (const [name, { field, missing }] of Object.entries(fields)) {
    const value = map.get(name);
    if (value === undefined) {
      if (missing === 'refused') return undefined;
      if (missing !== 'left out') read[name] = missing;
      continue;
    }
    const accepted = readField(value, field);
    if (accepted === undefined) return undefined;
    read[name] = accepted;
  }
  return read;
}

function readField(value: Plain, field: Field): unknown {
  switch (field.type) {
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value) && inRange(value, field) ? value : undefined;
    case 'number':
      return typeof value === 'number' && inRange(value, field) ? value : undefined;
    case 'text':
      return typeof value === 'string' && inRange(value.length, field) ? value : undefined;
    case 'choice':
      return field.of.includes(value) ? value : undefined;
    case 'list': {
      if (!Array.isArray(value) || !inRange(value.length, field)) return undefined;
      const items = value.map((item) => readField(item, field.of));
      return items.includes(undefined) ? undefined : items;
    }
    case 'map':
      return value instanceof Map ? readFields(value, field.of) : undefined;
  }
}

/** False for NaN. */
function inRange(value: number, range: { min: number; max: number; openMin?: true; openMax?: true }): boolean {
  const { min, max, openMin, openMax } = range;
  return (openMin ? value > min : value >= min) && (openMax ? value < max : value <= max);
}
