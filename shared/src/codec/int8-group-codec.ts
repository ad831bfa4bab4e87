import { bfloat16ToFloat, floatToBfloat16Up } from '../numeric/bfloat16.js';
import { CODE_MAX, dequantiseBytes, finiteMax, quantiseToBytes } from './int8-quantiser.js';
import { bytesPerRow } from './row-bytes.js';
import type { RowCodec, RowCodecName } from './row-codec.js';

const SCALE_BYTES = 2;
/** A finite group stays finite: 127 times this scale is still an f32. The step to the next bfloat16 is 2^-8 of it. */
const GROUP_MAX = 3.4028234663852886e38 * (1 - 2 ** -7);

export interface Int8GroupCodecOptions {
  name: RowCodecName;
  /** Numbers that share a scale; the last group of a row takes what is left. */
  groupSize: number;
}

/**
 * int8 with a scale for every few numbers, so that an outlier coarsens its own group only. A row is its groups one
 * behind the other, each a scale (bfloat16, little endian, `max|group| / 127` rounded up) and one signed byte per number.
 *
 * Zeros, NaN and infinities as in `int8`, group by group.
 */
export function createInt8GroupCodec({ name, groupSize }: Int8GroupCodecOptions): RowCodec {
  return {
    name,
    bytesPerRow: (width) => bytesPerRow(name, width),
    encode(rows, width, target) {
      let at = 0;
      for (let row = 0; row < rows.length; row += width) {
        for (let from = 0; from < width; from += groupSize) {
          const count = Math.min(groupSize, width - from);
          const scaleBits = floatToBfloat16Up(Math.min(finiteMax(rows, row + from, count), GROUP_MAX) / CODE_MAX);
          target[at] = scaleBits;
          target[at + 1] = scaleBits >>> 8;
          quantiseToBytes(rows, row + from, count, bfloat16ToFloat(scaleBits), target, at + SCALE_BYTES);
          at += SCALE_BYTES + count;
        }
      }
    },
    decode(source, width, target) {
      let at = 0;
      for (let row = 0; row < target.length; row += width) {
        for (let from = 0; from < width; from += groupSize) {
          const count = Math.min(groupSize, width - from);
          const scale = bfloat16ToFloat(source[at]! | (source[at + 1]! << 8));
          dequantiseBytes(source, at + SCALE_BYTES, count, scale, target, row + from);
          at += SCALE_BYTES + count;
        }
      }
    },
  };
}
