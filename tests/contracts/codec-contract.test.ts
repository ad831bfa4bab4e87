import { ROW_CODECS, type RowCodecName } from '@tandem/shared';
import { type CodecPromise, codecContract } from './codec-contract.js';

const HALF_MAX = 65_504;

/** A codec without an entry here does not compile. */
const PROMISES: Record<RowCodecName, CodecPromise> = {
  f32: {
    bytesPerRow: (width) => 4 * width,
    errorMax: () => 0,
    special: (value) => value,
    isIdempotent: true,
  },
  f16: {
    bytesPerRow: (width) => 2 * width,
    // Half of the last of 11 bits; below 2^-14 half of a denormal's step.
    errorMax: (value) => (Math.abs(value) > HALF_MAX ? 0 : Math.max(Math.abs(value) * 2 ** -11, 2 ** -25)),
    special: (value) => value,
    isIdempotent: true,
  },
  int8: {
    bytesPerRow: (width) => 4 + width,
    // Half a step, and what the scale's and the product's own rounding add.
    errorMax: (_value, rowMax) => (rowMax / 127) * 0.50002,
    special: (value, rowMax) =>
      Number.isNaN(value) ? 0 : Math.sign(value) * Math.fround(127 * Math.fround(rowMax / 127)),
    isIdempotent: false,
  },
  int8g64: {
    bytesPerRow: (width) => width + 2 * Math.ceil(width / 64),
    // The scale is rounded up by at most 2^-7 of itself, and a bfloat16 denormal by at most 2^-133.
    errorMax: (_value, rowMax) => (rowMax / 127) * 0.50002 * (1 + 2 ** -7) + 64 * 2 ** -133,
    special: (value, rowMax) => (Number.isNaN(value) ? 0 : Math.sign(value) * rowMax),
    // Infinity becomes the largest of its group, which is anything up to the largest of its row.
    specialErrorMax: (rowMax) => rowMax * (1 + 2 ** -7),
    isIdempotent: false,
  },
  rot64: rotated((size) => 2 + Math.ceil((size * 6) / 8), 0.045),
  rot25: rotated((size) => 2 + Math.ceil((Math.ceil(size / 3) * 14) / 8), 0.083),
  rot16: rotated((size) => 2 + Math.ceil((size * 4) / 8), 0.11),
};

/**
 * A rotation keeps lengths, so the error of a block is at most sqrt(n) times the largest distance from a level times
 * the scale, and the scale is at most the length of the block. No single number can be held to less; `codec-rotated.test.ts`
 * holds whole blocks to the bound.
 */
function rotated(blockBytes: (size: number) => number, levelErrorMax: number): CodecPromise {
  return {
    bytesPerRow: (width) => {
      let bytes = 256 <= width ? Math.floor(width / 256) * blockBytes(256) : 0;
      for (let size = 128; size >= 1; size /= 2) if (width & size) bytes += blockBytes(size);
      return bytes;
    },
    // 2^-130: rows of denormals, whose scale a bfloat16 rounds coarsely.
    errorMax: (_value, rowMax) => 256 * rowMax * levelErrorMax + 2 ** -130,
    special: (value, rowMax) => (Number.isNaN(value) ? 0 : Math.sign(value) * rowMax),
    specialErrorMax: (rowMax) => rowMax + 256 * rowMax * levelErrorMax,
    isIdempotent: false,
  };
}

for (const [name, promise] of Object.entries(PROMISES)) codecContract(ROW_CODECS[name as RowCodecName], promise);
