import type { ErrorCode, MessageKind, RowCodecName } from '@tandem/shared';
import { FIELDS, readFields } from './reference-messages.js';
import { readControl } from './reference-msgpack.js';
import { bytesPerRow } from './reference-rows.js';

/** What a peer was told about, as far as frames are checked against it. */
export interface Agreement {
  context: 'rows' | 'tokens';
  codec: RowCodecName;
  capacity: number;
  largerModel: boolean;
  width: number;
  vocabularySize: number;
}

export type Reading =
  | { kind: MessageKind; control: Record<string, unknown>; payload: Uint8Array }
  | { refused: ErrorCode };

const KINDS: readonly MessageKind[] = [
  'session-open',
  'session-opened',
  'session-close',
  'context-forward',
  'verdict',
  'context-rewind',
  'credit',
  'ping',
  'pong',
  'drain',
  'error',
  'passage',
];
const HEADER = 16;
const MALFORMED: Reading = { refused: 'MALFORMED_FRAME' };
const TOO_LARGE: Reading = { refused: 'FRAME_TOO_LARGE' };

/** A frame by the table in docs/PROTOCOL.md: one rule behind the other. */
export function readFrame(bytes: Uint8Array): Reading {
  if (bytes.length < HEADER) return MALFORMED;
  const number = (at: number) =>
    bytes[at]! + 2 ** 8 * bytes[at + 1]! + 2 ** 16 * bytes[at + 2]! + 2 ** 24 * bytes[at + 3]!;
  if (bytes[0] !== 0x54 || bytes[1] !== 0x44) return MALFORMED;
  const kind = KINDS[bytes[2]! - 1];
  if (!kind || bytes[3] !== 0) return MALFORMED;
  const controlBytes = number(4);
  const payloadBytes = number(8);
  const padded = HEADER + controlBytes + ((8 - ((HEADER + controlBytes) % 8)) % 8);
  if (controlBytes > 16_384 || padded + payloadBytes > 8 * 1_024 * 1_024) return TOO_LARGE;
  if (padded + payloadBytes !== bytes.length || checksum(bytes.subarray(HEADER)) !== number(12)) return MALFORMED;
  const map = readControl(bytes.subarray(HEADER, HEADER + controlBytes));
  const control = map && readFields(map, FIELDS[kind]);
  return control ? { kind, control, payload: bytes.subarray(padded) } : MALFORMED;
}

/** CRC-32, bit by bit. */
export function checksum(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder ^= byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  }
  return ~remainder >>> 0;
}

/** Whether a server that has agreed to this takes the forward. */
export function isForwardAllowed(control: Record<string, unknown>, payload: Uint8Array, agreed: Agreement): boolean {
  const { from, count, want, drafts, extend, asTokens, tokens } = control as unknown as ForwardControl;
  const end = from + count;
  const last = want.at(-1);
  const rules = [
    end <= agreed.capacity,
    want.every((row, i) => row >= from && row < end && (i === 0 || row > want[i - 1]!)),
    drafts.length === 0 || drafts.length === want.length || drafts.length === want.length - 1,
    !extend || (agreed.context === 'tokens' && last === end - 1),
    !asTokens || from === 0,
    payload.length === count * bytesEach(agreed, asTokens === true),
    isTextGiven(tokens, count, agreed),
  ];
  return !rules.includes(false);
}

interface ForwardControl {
  from: number;
  count: number;
  want: number[];
  drafts: number[];
  extend?: number;
  asTokens?: true;
  tokens?: number[];
}

function bytesEach({ context, codec, width, vocabularySize }: Agreement, asTokens: boolean): number {
  if (context === 'tokens' || asTokens) return vocabularySize > 65_536 ? 4 : 2;
  return bytesPerRow(codec, width);
}

/** The text beside the rows: exactly where there is a larger model that reads it, and rows that it cannot. */
function isTextGiven(tokens: number[] | undefined, count: number, agreed: Agreement): boolean {
  if (!agreed.largerModel || agreed.context === 'tokens') return tokens === undefined;
  const given = tokens ?? [];
  return given.length === count && given.every((token) => token < agreed.vocabularySize);
}
