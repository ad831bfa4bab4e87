import { bytesPerRow, type RowCodec, seededRandom } from '@tandem/shared';
import { describe, expect, test } from 'vitest';

/** What a codec promises beyond the interface, so that the suite can hold it to it. */
export interface CodecPromise {
  /** Bytes of one row, written out once more. */
  bytesPerRow(width: number): number;
  /** Largest |decoded − original| that is allowed at a finite number in a row with this largest finite magnitude. */
  errorMax(value: number, rowMax: number): number;
  /** What infinity and NaN come back as, given the row's largest finite magnitude. */
  special(value: number, rowMax: number): number;
  /** How far from that they may be; default 0. */
  specialErrorMax?(rowMax: number): number;
  /** Encoding what was decoded gives the same bytes. */
  isIdempotent: boolean;
}

/** The last one is longer than any group or block, and a multiple of none. */
const WIDTHS = [1, 3, 8, 65, 331, 767];
const ROWS = 7;

/** Every codec has to pass it: `tests/contracts/codec-contract.test.ts` runs it over the table. */
export function codecContract(codec: RowCodec, promise: CodecPromise): void {
  describe.each(WIDTHS)(`codec ${codec.name}, width %d`, (width) => {
    const rows = sampleRows(width);
    const stride = promise.bytesPerRow(width);
    const encoded = encode(codec, rows, width);

    test('a row takes the bytes that are promised', () => {
      expect(codec.bytesPerRow(width)).toBe(stride);
      expect(bytesPerRow(codec.name, width)).toBe(stride);
      expect(encoded.length).toBe(ROWS * stride);
    });

    test('the bytes of a row do not depend on its neighbours', () => {
      for (let row = 0; row < ROWS; row++) {
        const alone = encode(codec, rows.slice(row * width, (row + 1) * width), width);
        expect(alone).toEqual(encoded.slice(row * stride, (row + 1) * stride));
      }
    });

    test('any range of encoded rows decodes alone, from any byte offset', () => {
      const whole = decode(codec, encoded, width);
      for (let from = 0; from < ROWS; from++) {
        for (let to = from; to <= ROWS; to++) {
          const misaligned = misalign(encoded.subarray(from * stride, to * stride), 1 + (from % 3));
          expect(bits(decode(codec, misaligned, width))).toEqual(bits(whole.slice(from * width, to * width)));
        }
      }
    });

    test('a Buffer in mid-pool, as a socket hands it over, decodes the same', () => {
      // Buffer.slice is a view where Uint8Array.slice is a copy: a codec that copies with it reads the wrong bytes.
      const pool = Buffer.alloc(encoded.length + 5, 0xa5);
      pool.set(encoded, 5);
      expect(bits(decode(codec, pool.subarray(5), width))).toEqual(bits(decode(codec, encoded, width)));
    });

    test('rows are read from any offset of their buffer', () => {
      const buffer = new Float32Array(rows.length + 3);
      buffer.set(rows, 3);
      expect(encode(codec, buffer.subarray(3), width)).toEqual(encoded);
    });

    test('a target is written from its first byte to its last and not beyond', () => {
      const margin = 8;
      const buffer = new Uint8Array(encoded.length + 2 * margin).fill(0xa5);
      codec.encode(rows, width, buffer.subarray(margin, margin + encoded.length));
      expect(buffer.slice(margin, margin + encoded.length)).toEqual(encoded);
      expect([...buffer.slice(0, margin), ...buffer.slice(-margin)]).toEqual(Array(2 * margin).fill(0xa5));
    });

    test('the error stays within the documented bound', () => {
      const decoded = decode(codec, encoded, width);
      for (const [i, value] of rows.entries()) {
        const rowMax = finiteMax(rows.subarray(i - (i % width), i - (i % width) + width));
        if (!Number.isFinite(value)) {
          const special = promise.special(value, rowMax);
          const tolerance = promise.specialErrorMax?.(rowMax) ?? 0;
          if (tolerance === 0) expect(decoded[i]).toBe(special);
          else expect(Math.abs(decoded[i]! - special)).toBeLessThanOrEqual(tolerance);
          continue;
        }
        const error = Math.abs(decoded[i]! - value);
        if (!(error <= promise.errorMax(value, rowMax))) {
          expect.fail(
            `${value} came back as ${decoded[i]}: error ${error}, ${promise.errorMax(value, rowMax)} allowed`,
          );
        }
      }
    });

    test('zeros come back as zeros, and no row at all as none', () => {
      const zeros = new Float32Array(2 * width);
      expect([...decode(codec, encode(codec, zeros, width), width)]).toEqual([...zeros]);
      expect(encode(codec, new Float32Array(0), width)).toEqual(new Uint8Array(0));
      expect(decode(codec, new Uint8Array(0), width)).toEqual(new Float32Array(0));
    });

    if (!promise.isIdempotent) return;
    test('what was decoded encodes to the same bytes', () => {
      expect(encode(codec, decode(codec, encoded, width), width)).toEqual(encoded);
    });
  });
}

export function encode(codec: RowCodec, rows: Float32Array, width: number): Uint8Array {
  const target = new Uint8Array((rows.length / width) * codec.bytesPerRow(width));
  codec.encode(rows, width, target);
  return target;
}

export function decode(codec: RowCodec, source: Uint8Array, width: number): Float32Array {
  const target = new Float32Array((source.length / codec.bytesPerRow(width)) * width);
  codec.decode(source, width, target);
  return target;
}

/** `(ROWS, width)`: rows of very different sizes, among them denormals, infinities and NaN. */
function sampleRows(width: number): Float32Array {
  const random = seededRandom(width);
  const scales = [1, 1e-3, 300, 2e-38, 60_000, 1, 1];
  const rows = Float32Array.from(
    { length: ROWS * width },
    (_, i) => (2 * random.next() - 1) * scales[(i / width) | 0]!,
  );
  rows[5 * width] = NaN;
  rows[6 * width] = Infinity;
  if (width > 2) rows[6 * width + 1] = -Infinity;
  if (width > 2) rows[5 * width + 2] = 1e-45;
  return rows;
}

function misalign(bytes: Uint8Array, offset: number): Uint8Array {
  const buffer = new Uint8Array(bytes.length + offset);
  buffer.set(bytes, offset);
  return buffer.subarray(offset);
}

function finiteMax(row: Float32Array): number {
  return row.reduce((max, value) => (Number.isFinite(value) ? Math.max(max, Math.abs(value)) : max), 0);
}

function bits(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.slice().buffer);
}
