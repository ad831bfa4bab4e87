import { ROW_CODECS, type RowCodecName } from '@tandem/shared';

/** Bits per number and levels of the rotated codecs, codes per word. */
const ROTATED = {
  rot64: { levels: 64, digits: 1, bits: 6 },
  rot25: { levels: 25, digits: 3, bits: 14 },
  rot16: { levels: 16, digits: 1, bits: 4 },
} as const;
const SCALE_OF_ONE = [0x80, 0x3f];
const GROUP = 64;
const BLOCK = 256;

/** Bytes of one row, from the layouts in docs/PROTOCOL.md and docs/decisions/0005-codecs.md. */
export function bytesPerRow(codec: RowCodecName, width: number): number {
  switch (codec) {
    case 'f32':
      return 4 * width;
    case 'f16':
      return 2 * width;
    case 'int8':
      return 4 + width;
    case 'int8g64':
      return width + 2 * Math.ceil(width / GROUP);
    default:
      return blocksOf(width).reduce((bytes, size) => bytes + 2 + wordBytes(codec, size), 0);
  }
}

/** Rows from their bytes, number by number: `(rows, width)`. */
export function readRows(codec: RowCodecName, bytes: Uint8Array, width: number): number[] {
  const rows: number[] = [];
  const row = bytesPerRow(codec, width);
  for (let at = 0; at < bytes.length; at += row) rows.push(...readRow(codec, bytes.subarray(at, at + row), width));
  return rows;
}

function readRow(codec: RowCodecName, bytes: Uint8Array, width: number): number[] {
  const signed = (at: number) => (bytes[at]! < 128 ? bytes[at]! : bytes[at]! - 256);
  switch (codec) {
    case 'f32':
      return Array.from({ length: width }, (_, i) => Buffer.from(bytes).readFloatLE(4 * i));
    case 'f16':
      return Array.from({ length: width }, (_, i) => half(bytes[2 * i]! + 256 * bytes[2 * i + 1]!));
    case 'int8': {
      const scale = Buffer.from(bytes).readFloatLE(0);
      return Array.from({ length: width }, (_, i) => Math.fround(scale * signed(4 + i)));
    }
    case 'int8g64':
      return Array.from({ length: width }, (_, i) => {
        const group = Math.floor(i / GROUP);
        const scale = brainFloat(bytes, group * (GROUP + 2));
        return Math.fround(scale * signed(group * (GROUP + 2) + 2 + (i % GROUP)));
      });
    default:
      return readRotated(codec, bytes, width);
  }
}

function readRotated(codec: keyof typeof ROTATED, bytes: Uint8Array, width: number): number[] {
  const numbers: number[] = [];
  let at = 0;
  for (const size of blocksOf(width)) {
    const scale = brainFloat(bytes, at);
    const codes = readCodes(codec, bytes.subarray(at + 2, at + 2 + wordBytes(codec, size)), size);
    at += 2 + wordBytes(codec, size);
    const levels = codes.map((code) => (levelsOf(codec)[code] ?? Number.NaN) * (scale / Math.sqrt(size)));
    // The matrix product as it stands in the books, instead of a fast transform.
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += ODD_BITS[i & j] ? -levels[j]! : levels[j]!;
      numbers.push(scale === 0 ? 0 : Math.fround(sum * sign(i)));
    }
  }
  return numbers;
}

/** A block as one large number: words from its low end, digits from each word's low end. */
function readCodes(codec: keyof typeof ROTATED, bytes: Uint8Array, count: number): number[] {
  const { levels, digits, bits } = ROTATED[codec];
  let whole = 0n;
  for (const byte of [...bytes].reverse()) whole = 256n * whole + BigInt(byte);
  const codes: number[] = [];
  for (; codes.length < count; whole >>= BigInt(bits)) {
    const word = Number(whole & ((1n << BigInt(bits)) - 1n));
    if (digits === 1) codes.push(word);
    else codes.push(word % levels, Math.floor(word / levels) % levels, Math.floor(word / levels ** 2));
  }
  return codes.slice(0, count);
}

const levelTables = new Map<string, number[]>();

/** The level table as the codec itself tells it: rows of one number, whose rotation changes only the sign. */
function levelsOf(codec: keyof typeof ROTATED): number[] {
  let table = levelTables.get(codec);
  if (!table) {
    const one = new Float64Array(1);
    table = Array.from({ length: ROTATED[codec].levels }, (_, code) => {
      const target = new Float32Array(1);
      ROW_CODECS[codec].decode(Uint8Array.of(...SCALE_OF_ONE, code, 0), 1, target);
      one[0] = target[0]! * sign(0);
      return one[0];
    });
    levelTables.set(codec, table);
  }
  return table;
}

function blocksOf(width: number): number[] {
  const sizes: number[] = [];
  for (let left = width; left > 0; left -= sizes.at(-1)!) sizes.push(Math.min(BLOCK, 2 ** Math.floor(Math.log2(left))));
  return sizes;
}

function wordBytes(codec: keyof typeof ROTATED, size: number): number {
  const { digits, bits } = ROTATED[codec];
  return Math.ceil((Math.ceil(size / digits) * bits) / 8);
}

function half(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1_024) % 32;
  const fraction = (bits % 1_024) / 1_024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

function brainFloat(bytes: Uint8Array, at: number): number {
  return Buffer.from([0, 0, bytes[at]!, bytes[at + 1]!]).readFloatLE(0);
}

function bitsSet(value: number): number {
  return value === 0 ? 0 : (value & 1) + bitsSet(value >>> 1);
}

/** Whether so many bits are set in a number: the signs of the Hadamard matrix. */
const ODD_BITS = Array.from({ length: BLOCK }, (_, value) => isOdd(bitsSet(value)));

function isOdd(value: number): boolean {
  return value % 2 === 1;
}

/** The last step of MurmurHash3, as the codec's documentation names it. */
function sign(index: number): number {
  let bits = index + 1;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return isOdd((bits ^ (bits >>> 16)) & 1) ? -1 : 1;
}
