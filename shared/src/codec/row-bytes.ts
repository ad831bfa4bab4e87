import { type DigitPacking, packedBytes } from './digit-packing.js';
import type { RowCodecName } from './row-codec.js';

/** How many of the codes of a rotated row go into a word, and its bits. */
export const PACKINGS = {
  rot64: { radix: 64, digits: 1, bits: 6 },
  rot25: { radix: 25, digits: 3, bits: 14 },
  rot16: { radix: 16, digits: 1, bits: 4 },
} as const;

/**
 * What a row takes on the wire, apart from the code that makes it so: who only counts bytes, as a page whose worker encodes
 * them, need not load the codecs. The contract suite holds the codecs to it.
 */
export function bytesPerRow(codec: RowCodecName, width: number): number {
  switch (codec) {
    case 'f32':
      return 4 * width;
    case 'f16':
      return 2 * width;
    case 'int8':
      return width + 4;
    case 'int8g64':
      return width + 2 * Math.ceil(width / 64);
    case 'rot64':
    case 'rot25':
    case 'rot16':
      return rotatedBytes(PACKINGS[codec], width);
  }
}

/** Blocks of 256 numbers, then one for every binary digit of the rest. */
export function rotatedBytes(packing: DigitPacking, width: number): number {
  let bytes = Math.floor(width / 256) * (2 + packedBytes(packing, 256));
  for (let size = 128; size >= 1; size /= 2) if (width & size) bytes += 2 + packedBytes(packing, size);
  return bytes;
}

/** Wider rows than this cost more on a mobile uplink than a device step takes: 10 Mbit/s carry 2 KiB in 1.6 ms. */
const WIDTH_IN_F16_MAX = 1_024;

/** The codec of a model's rows where nobody chose one: the same on every device, since the text may depend on it. */
export function defaultCodec(width: number): RowCodecName {
  // In groups, because wide models are known for channels far larger than the others.
  return width <= WIDTH_IN_F16_MAX ? 'f16' : 'int8g64';
}
