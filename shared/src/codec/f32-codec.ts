import { bytesPerRow } from './row-bytes.js';
import type { RowCodec } from './row-codec.js';

/** 4 bytes per number, little-endian, unchanged bits. The reference that the other codecs are measured against. */
export const f32Codec: RowCodec = {
  name: 'f32',
  bytesPerRow: (width) => bytesPerRow('f32', width),
  encode(rows, _width, target) {
    target.set(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
  },
  decode(source, _width, target) {
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
  },
};
