import { decodeFrame, encodeFrame, HEADER_BYTES, isTandemError, KINDS, limits, type MessageKind } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

const CONTROL = Uint8Array.of(0x80);
const kinds = Object.keys(KINDS) as MessageKind[];

function frame(payloadBytes = 0): Uint8Array {
  return encodeFrame('ping', CONTROL, new Uint8Array(payloadBytes).fill(7));
}

/** The frame with some bytes set; its checksum is left as it was. */
function damaged(bytes: Record<number, number>): Uint8Array {
  const copy = frame(8);
  for (const [offset, byte] of Object.entries(bytes)) copy[Number(offset)] = byte;
  return copy;
}

describe('a frame', () => {
  test.each(kinds)('of kind %s comes back', (kind) => {
    const payload = Uint8Array.of(9, 8, 7);
    expect(decodeFrame(encodeFrame(kind, CONTROL, payload))).toEqual({ kind, control: CONTROL, payload });
  });

  test('has unique kind bytes that fit a byte', () => {
    expect(new Set(Object.values(KINDS)).size).toBe(kinds.length);
    expect(Object.values(KINDS).every((byte) => Number.isInteger(byte) && byte > 0 && byte < 256)).toBe(true);
  });

  test.each([0, 1, 7, 8, 9])(
    'puts the payload on an 8-byte boundary behind a control map of %d bytes',
    (controlBytes) => {
      const encoded = encodeFrame('credit', new Uint8Array(controlBytes), new Uint8Array(3));
      expect((encoded.length - 3) % 8).toBe(0);
      const { control, payload } = decodeFrame(encoded);
      expect([control.length, payload.length]).toEqual([controlBytes, 3]);
    },
  );

  test.each([1, 2, 3, 5, 7])('is read from offset %d of a buffer, without copies', (offset) => {
    const encoded = frame(5);
    const buffer = new Uint8Array(encoded.length + offset + 4).fill(0xee);
    buffer.set(encoded, offset);
    const { payload } = decodeFrame(buffer.subarray(offset, offset + encoded.length));
    expect([...payload]).toEqual([7, 7, 7, 7, 7]);
    expect(payload.buffer).toBe(buffer.buffer);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['no bytes', new Uint8Array(0), /0 bytes, a header has 16/],
    ['a short header', frame().subarray(0, HEADER_BYTES - 1), /15 bytes, a header has 16/],
    ['another magic', damaged({ 0: 0x55 }), /magic 0x4455/],
    ['kind 0', damaged({ 2: 0 }), /kind 0 is unknown/],
    ['a kind of the future', damaged({ 2: 200 }), /kind 200 is unknown/],
    ['flags', damaged({ 3: 1 }), /flags 1/],
    ['a control length that lies', damaged({ 4: 9 }), /add up to/],
    ['a payload length that lies', damaged({ 8: 9 }), /add up to/],
    ['a payload that ends early', frame(8).subarray(0, -1), /add up to/],
    ['trailing bytes', Uint8Array.of(...frame(8), 0), /add up to/],
    ['a flipped bit in the control map', damaged({ 16: 0x81 }), /checksum/],
    ['a flipped bit in the padding', damaged({ 20: 1 }), /checksum/],
    ['a flipped bit in the payload', damaged({ 31: 6 }), /checksum/],
    ['a flipped bit in the checksum', damaged({ 12: frame(8)[12]! ^ 1 }), /checksum/],
  ])('is refused with %s', (_what, bytes, message) => {
    expect(() => decodeFrame(bytes)).toThrow(message);
    expect(codeOf(() => decodeFrame(bytes))).toBe('MALFORMED_FRAME');
  });

  test.each<[string, Uint8Array]>([
    ['a control map', damaged({ 5: 0x40, 4: 1 })],
    ['a payload', damaged({ 11: 0xff })],
  ])('is refused when it announces %s beyond the limit, before anything is read', (_what, bytes) => {
    expect(codeOf(() => decodeFrame(bytes))).toBe('FRAME_TOO_LARGE');
  });

  test('is refused where it is made, too', () => {
    const control = new Uint8Array(limits.CONTROL_BYTES_MAX + 1);
    expect(codeOf(() => encodeFrame('ping', control, CONTROL))).toBe('FRAME_TOO_LARGE');
    const payload = new Uint8Array(limits.FRAME_BYTES_MAX);
    expect(() => encodeFrame('ping', CONTROL, payload)).toThrow(
      `FRAME_TOO_LARGE: ${limits.FRAME_BYTES_MAX + 24} bytes, limit ${limits.FRAME_BYTES_MAX}; send fewer rows per frame`,
    );
  });

  test('may fill its limit to the byte', () => {
    const payload = new Uint8Array(limits.FRAME_BYTES_MAX - HEADER_BYTES - 8);
    const encoded = encodeFrame('ping', CONTROL, payload);
    expect(encoded.length).toBe(limits.FRAME_BYTES_MAX);
    expect(decodeFrame(encoded).payload.length).toBe(payload.length);
  });
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isTandemError(error) ? error.code : `not a TandemError: ${error}`;
  }
  return 'nothing was thrown';
}
