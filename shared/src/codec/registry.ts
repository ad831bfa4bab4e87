import { TandemError } from '../errors.js';
import { f16Codec } from './f16-codec.js';
import { f32Codec } from './f32-codec.js';
import { GAUSSIAN_LEVELS } from './gaussian-levels.js';
import { int8Codec } from './int8-codec.js';
import { createInt8GroupCodec } from './int8-group-codec.js';
import { createRotatedCodec } from './rotated-codec.js';
import { PACKINGS } from './row-bytes.js';
import { ROW_CODEC_NAMES, type RowCodec, type RowCodecName } from './row-codec.js';

/** A new codec is one file and one line here; the contract suite runs over this table. */
export const ROW_CODECS: Readonly<Record<RowCodecName, RowCodec>> = {
  f32: f32Codec,
  f16: f16Codec,
  int8: int8Codec,
  int8g64: createInt8GroupCodec({ name: 'int8g64', groupSize: 64 }),
  // Rotated, and the number of levels: 6, 4.67 and 4 bits per number.
  rot64: createRotatedCodec({
    name: 'rot64',
    levels: GAUSSIAN_LEVELS[64],
    packing: PACKINGS.rot64,
  }),
  rot25: createRotatedCodec({
    name: 'rot25',
    levels: GAUSSIAN_LEVELS[25],
    packing: PACKINGS.rot25,
  }),
  rot16: createRotatedCodec({
    name: 'rot16',
    levels: GAUSSIAN_LEVELS[16],
    packing: PACKINGS.rot16,
  }),
};

/** @throws TandemError INVALID_OPTION for a name that is not in the table. */
export function rowCodec(name: string): RowCodec {
  const codec = ROW_CODECS[name as RowCodecName];
  if (!codec) {
    throw new TandemError('INVALID_OPTION', `codec "${name}" is unknown; use one of ${ROW_CODEC_NAMES.join(', ')}`);
  }
  return codec;
}

/** What the cloud will see of these rows: encoded and decoded once. Used by every chain that crosses the cut in process. */
export function throughCodec(codec: RowCodec, rows: Float32Array, width: number): Float32Array {
  if (codec.name === 'f32') return rows;
  const encoded = new Uint8Array((rows.length / width) * codec.bytesPerRow(width));
  codec.encode(rows, width, encoded);
  const decoded = new Float32Array(rows.length);
  codec.decode(encoded, width, decoded);
  return decoded;
}
