import { crc32, TandemError } from '@tandem/shared';

/**
 * The bytes around a saved session.
 *
 *     "TDMS" | version u8 | 0 0 0 | body length u32 | body: JSON in UTF-8 | CRC-32 of all before, u32     (little-endian)
 *
 * All versions keep this frame, so that damage is told from age.
 */
const MAGIC = [0x54, 0x44, 0x4d, 0x53];
const VERSION = 1;
const HEAD_BYTES = 12;
const CHECKSUM_BYTES = 4;

export function frame(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + body.length + CHECKSUM_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[MAGIC.length] = VERSION;
  view.setUint32(HEAD_BYTES - 4, body.length, true);
  bytes.set(body, HEAD_BYTES);
  const end = HEAD_BYTES + body.length;
  view.setUint32(end, crc32(bytes.subarray(0, end)), true);
  return bytes;
}

/** The body. @throws TandemError SAVE_CORRUPT, SAVE_UNSUPPORTED */
export function unframe(bytes: Uint8Array): Uint8Array {
  if (!(bytes instanceof Uint8Array) || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw corrupt('it does not begin as what session.save() returns');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length - CHECKSUM_BYTES;
  const announced = bytes.length < HEAD_BYTES ? undefined : view.getUint32(HEAD_BYTES - 4, true);
  if (announced === undefined || announced !== end - HEAD_BYTES) {
    throw corrupt(`it has ${bytes.length} bytes, and ${announced ?? 'more'} in its body alone by its own word`);
  }
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end, true)) throw corrupt('its checksum is wrong');
  const version = bytes[MAGIC.length];
  if (version !== VERSION) {
    const message = `it was saved in version ${version}, this one reads ${VERSION}; restore it with the @tandem/edge that saved it`;
    throw new TandemError('SAVE_UNSUPPORTED', message);
  }
  return bytes.subarray(HEAD_BYTES, end);
}

export function corrupt(what: string): TandemError {
  return new TandemError('SAVE_CORRUPT', `the saved session is damaged or none: ${what}`);
}
