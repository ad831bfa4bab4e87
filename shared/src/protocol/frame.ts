import { TandemError } from '../errors.js';
import { CONTROL_BYTES_MAX, FRAME_BYTES_MAX } from '../limits.js';
import { crc32 } from '../numeric/crc32.js';

/**
 * The frame around every message. All numbers little-endian.
 *
 *     offset  bytes  field
 *          0      2  magic 0x54 0x44 ("TD")
 *          2      1  kind (see KINDS)
 *          3      1  flags, 0 in this version
 *          4      4  control length in bytes
 *          8      4  payload length in bytes
 *         12      4  CRC-32 of everything behind the header
 *         16      …  control: a msgpack map, then zeros up to a multiple of 8
 *          …      …  payload: opaque to this layer
 *
 * The payload starts on an 8-byte boundary of the frame, so that it can be viewed as typed array where the
 * received buffer is aligned itself. The checksum is there because a flipped bit in a row would change the
 * text without anybody noticing: TCP's 16 bits let one damaged segment in 65,536 pass.
 */
export const HEADER_BYTES = 16;
const MAGIC = 0x4454;
const ALIGNMENT_BYTES = 8;

/** Message kinds and their byte on the wire. Numbers are never reused. */
export const KINDS = {
  'session-open': 1,
  'session-opened': 2,
  'session-close': 3,
  'context-forward': 4,
  verdict: 5,
  'context-rewind': 6,
  credit: 7,
  ping: 8,
  pong: 9,
  drain: 10,
  error: 11,
  passage: 12,
} as const;

export type MessageKind = keyof typeof KINDS;

const KIND_BY_BYTE = new Map<number, MessageKind>(
  Object.entries(KINDS).map(([kind, byte]) => [byte, kind as MessageKind]),
);

export interface Frame {
  kind: MessageKind;
  /** msgpack bytes of the control map. */
  control: Uint8Array;
  payload: Uint8Array;
}

export function encodeFrame(kind: MessageKind, control: Uint8Array, payload: Uint8Array): Uint8Array {
  const payloadStart = align(HEADER_BYTES + control.length);
  const frame = new Uint8Array(payloadStart + payload.length);
  checkLengths(control.length, frame.length);
  const view = new DataView(frame.buffer);
  view.setUint16(0, MAGIC, true);
  view.setUint8(2, KINDS[kind]);
  view.setUint32(4, control.length, true);
  view.setUint32(8, payload.length, true);
  frame.set(control, HEADER_BYTES);
  frame.set(payload, payloadStart);
  view.setUint32(12, crc32(frame.subarray(HEADER_BYTES)), true);
  return frame;
}

/**
 * Views into `bytes`, no copies. Every length is checked before anything is read or allocated.
 * @throws TandemError MALFORMED_FRAME, FRAME_TOO_LARGE
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < HEADER_BYTES) throw malformed(`${bytes.length} bytes, a header has ${HEADER_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic !== MAGIC) throw malformed(`magic 0x${magic.toString(16)}, expected 0x${MAGIC.toString(16)}`);
  const kind = KIND_BY_BYTE.get(view.getUint8(2));
  if (!kind) throw malformed(`kind ${view.getUint8(2)} is unknown`);
  if (view.getUint8(3) !== 0) throw malformed(`flags ${view.getUint8(3)}, this version knows none`);
  const controlBytes = view.getUint32(4, true);
  const payloadBytes = view.getUint32(8, true);
  const payloadStart = align(HEADER_BYTES + controlBytes);
  checkLengths(controlBytes, payloadStart + payloadBytes);
  if (payloadStart + payloadBytes !== bytes.length) {
    throw malformed(
      `lengths in the header add up to ${payloadStart + payloadBytes} bytes, the frame has ${bytes.length}`,
    );
  }
  if (crc32(bytes.subarray(HEADER_BYTES)) !== view.getUint32(12, true)) throw malformed('the checksum does not match');
  return {
    kind,
    control: bytes.subarray(HEADER_BYTES, HEADER_BYTES + controlBytes),
    payload: bytes.subarray(payloadStart),
  };
}

function checkLengths(controlBytes: number, frameBytes: number): void {
  if (controlBytes > CONTROL_BYTES_MAX) {
    throw new TandemError('FRAME_TOO_LARGE', `control map of ${controlBytes} bytes, limit ${CONTROL_BYTES_MAX}`);
  }
  if (frameBytes > FRAME_BYTES_MAX) {
    throw new TandemError(
      'FRAME_TOO_LARGE',
      `${frameBytes} bytes, limit ${FRAME_BYTES_MAX}; send fewer rows per frame`,
    );
  }
}

function malformed(what: string): TandemError {
  return new TandemError('MALFORMED_FRAME', `${what}; does the peer speak tandem.v1?`);
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}
