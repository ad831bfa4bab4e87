import { CODE_MAX, dequantiseBytes, finiteMax, quantiseToBytes } from './int8-quantiser.js';
import { bytesPerRow } from './row-bytes.js';
import type { RowCodec } from './row-codec.js';

const SCALE_BYTES = 4;
/** The largest f32 that is still finite times 127: f32's maximum / 127 rounds up, one unit in the last place too far. */
const SCALE_MAX = Math.fround(3.4028234663852886e38 / CODE_MAX) - 2 ** 98;

/**
 * One f32 scale per row, then one signed byte per number: `number ≈ code * scale`, `scale = max|row| / 127`.
 *
 * On purpose: a row of zeros has scale 0 and codes 0 (no 0/0); NaN becomes 0; an infinite number saturates to ±127
 * and the scale comes from the finite ones, so that one bad number does not wipe out its row.
 */
export const int8Codec: RowCodec = {
  name: 'int8',
  bytesPerRow: (width) => bytesPerRow('int8', width),
  encode(rows, width, target) {
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    for (let start = 0, at = 0; start < rows.length; start += width, at += SCALE_BYTES + width) {
      // The decoder multiplies by the f32 scale, so the encoder divides by exactly that number.
      const scale = Math.min(Math.fround(finiteMax(rows, start, width) / CODE_MAX), SCALE_MAX);
      view.setFloat32(at, scale, true);
      quantiseToBytes(rows, start, width, scale, target, at + SCALE_BYTES);
    }
  },
  decode(source, width, target) {
    const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    for (let start = 0, at = 0; start < target.length; start += width, at += SCALE_BYTES + width) {
      dequantiseBytes(source, at + SCALE_BYTES, width, view.getFloat32(at, true), target, start);
    }
  },
};
