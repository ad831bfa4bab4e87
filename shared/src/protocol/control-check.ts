import { TandemError } from '../errors.js';

/**
 * Walks the msgpack bytes of a control map before a decoder sees them, and lets through only what our messages are
 * made of: maps, arrays, strings, numbers, booleans, nested at most three deep. Needed because a general decoder
 * turns 1 MB into 192 MB of heap and runs extension types by default.
 */
const DEPTH_MAX = 3;

export function checkControlMap(bytes: Uint8Array): void {
  const end = checkValue(bytes, 0, 0);
  if (end !== bytes.length) throw malformed(`${bytes.length - end} bytes behind the control map`);
}

/** Returns the offset behind the value that starts at `offset`. */
function checkValue(bytes: Uint8Array, offset: number, depth: number): number {
  const tag = byteAt(bytes, offset);
  if (depth === 0 && (tag & 0xf0) !== 0x80 && tag !== 0xde) throw malformed('the control is not a map');
  if (tag <= 0x7f || tag >= 0xe0) return offset + 1;
  if (tag <= 0x8f) return checkItems(bytes, offset + 1, 2 * (tag & 0x0f), depth);
  if (tag <= 0x9f) return checkItems(bytes, offset + 1, tag & 0x0f, depth);
  if (tag <= 0xbf) return checkText(bytes, offset + 1, tag & 0x1f);
  return checkTagged(bytes, offset, tag, depth);
}

function checkTagged(bytes: Uint8Array, offset: number, tag: number, depth: number): number {
  switch (tag) {
    case 0xc2: // false
    case 0xc3: // true
      return offset + 1;
    case 0xcc: // uint8
    case 0xd0: // int8
      return skip(bytes, offset + 1, 1);
    case 0xcd: // uint16
    case 0xd1:
      return skip(bytes, offset + 1, 2);
    case 0xca: // float32
    case 0xce: // uint32
    case 0xd2:
      return skip(bytes, offset + 1, 4);
    case 0xcb: // float64
    case 0xcf: // uint64
    case 0xd3:
      return skip(bytes, offset + 1, 8);
    case 0xd9: // str8
      return checkText(bytes, offset + 2, byteAt(bytes, offset + 1));
    case 0xda: // str16
      return checkText(bytes, offset + 3, uint16At(bytes, offset + 1));
    case 0xdc: // array16
      return checkItems(bytes, offset + 3, uint16At(bytes, offset + 1), depth);
    case 0xde: // map16
      return checkItems(bytes, offset + 3, 2 * uint16At(bytes, offset + 1), depth);
    default:
      throw malformed(`msgpack type 0x${tag.toString(16)} is not used in control maps`);
  }
}

function checkItems(bytes: Uint8Array, offset: number, items: number, depth: number): number {
  if (depth + 1 > DEPTH_MAX) throw malformed(`nested deeper than ${DEPTH_MAX}`);
  // Every item takes a byte at least: a length that the bytes cannot hold is refused before any work.
  if (items > bytes.length - offset) throw malformed(`${items} items announced, ${bytes.length - offset} bytes left`);
  let next = offset;
  for (let item = 0; item < items; item++) next = checkValue(bytes, next, depth + 1);
  return next;
}

/** Decoders make something of every byte, and each something else: only what is UTF-8 means the same to both sides. */
function checkText(bytes: Uint8Array, offset: number, count: number): number {
  const end = skip(bytes, offset, count);
  if (!isUtf8(bytes, offset, end)) throw malformed('a text is not UTF-8');
  return end;
}

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  // Keys are ASCII, and so is nearly everything else.
  let next = start;
  while (next < end && bytes[next]! < 0x80) next++;
  if (next === end) return true;
  try {
    strictDecoder.decode(bytes.subarray(next, end));
    return true;
  } catch {
    return false;
  }
}

function skip(bytes: Uint8Array, offset: number, count: number): number {
  if (offset + count > bytes.length) throw malformed('the control map ends in mid-value');
  return offset + count;
}

function byteAt(bytes: Uint8Array, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw malformed('the control map ends in mid-value');
  return byte;
}

function uint16At(bytes: Uint8Array, offset: number): number {
  return (byteAt(bytes, offset) << 8) | byteAt(bytes, offset + 1);
}

function malformed(what: string): TandemError {
  return new TandemError('MALFORMED_FRAME', what);
}
