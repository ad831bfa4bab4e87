/**
 * How rows at the cut travel: every codec maps one row of `width` floats to a fixed number of bytes, row by row,
 * so that any range of encoded rows is a slice, and a row's bytes never depend on its neighbours.
 * The device encodes once and keeps the bytes; a repeated forward sends the very same ones.
 */
export interface RowCodec {
  readonly name: RowCodecName;
  bytesPerRow(width: number): number;
  /** `rows (n, width)` → `target (n * bytesPerRow)`. Allocates nothing per row. */
  encode(rows: Float32Array, width: number, target: Uint8Array): void;
  /** The inverse. `source` may start at any byte offset. */
  decode(source: Uint8Array, width: number, target: Float32Array): void;
}

/**
 * A name stands for the bytes: layout, level tables and signs included (`tests/unit/codec-golden.test.ts`). Whatever
 * changes the bytes gets a new name, so that a device and a server of different versions never misread each other.
 */
export const ROW_CODEC_NAMES = ['f32', 'f16', 'int8', 'int8g64', 'rot64', 'rot25', 'rot16'] as const;
export type RowCodecName = (typeof ROW_CODEC_NAMES)[number];
