import { assert } from '../errors.js';
import { floatsToHalves, halvesToFloats } from '../numeric/half.js';
import { bytesPerRow } from './row-bytes.js';
import type { RowCodec } from './row-codec.js';

/** 2 bytes per number, round to nearest even. Numbers beyond ±65,504 become infinite; NaN stays NaN. */
export const f16Codec: RowCodec = {
  name: 'f16',
  bytesPerRow: (width) => bytesPerRow('f16', width),
  encode(rows, _width, target) {
    assert(target.byteOffset % 2 === 0, 'the target of an f16 encode starts at an even byte');
    floatsToHalves(rows, alignedHalves(target));
  },
  decode(source, _width, target) {
    halvesToFloats(alignedHalves(source), target);
  },
};

/** A received buffer can start at an odd byte; a Uint16Array cannot. Only then a copy is made. */
function alignedHalves(bytes: Uint8Array): Uint16Array {
  // Not bytes.slice(): a Buffer would answer with another view of the same memory.
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}
