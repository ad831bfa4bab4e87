/**
 * What control maps may be made of, read in the plainest way: a cursor that goes from byte to byte, and no limits but the
 * end of the bytes. Anything else is `undefined`. Slow on purpose; the decoder is compared with it.
 */
export type Plain = boolean | number | string | Plain[] | Map<string, Plain>;

const NESTING_MAX = 3;

export function readControl(bytes: Uint8Array): Map<string, Plain> | undefined {
  const reader = new Reader(bytes);
  try {
    const value = reader.value(1);
    return value instanceof Map && reader.isAtEnd ? value : undefined;
  } catch (error) {
    if (error instanceof NotAllowed) return undefined;
    throw error;
  }
}

class NotAllowed extends Error {}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(nesting: number): Plain {
    const tag = this.#unsigned(1);
    if (tag <= 0x7f) return tag;
    if (tag >= 0xe0) return tag - 256;
    if (tag <= 0x8f) return this.#map(tag - 0x80, nesting);
    if (tag <= 0x9f) return this.#array(tag - 0x90, nesting);
    if (tag <= 0xbf) return this.#text(tag - 0xa0);
    switch (tag) {
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#float(4);
      case 0xcb:
        return this.#float(8);
      case 0xcc:
        return this.#unsigned(1);
      case 0xcd:
        return this.#unsigned(2);
      case 0xce:
        return this.#unsigned(4);
      case 0xcf:
        return this.#unsigned(8);
      case 0xd0:
        return this.#signed(1);
      case 0xd1:
        return this.#signed(2);
      case 0xd2:
        return this.#signed(4);
      case 0xd3:
        return this.#signed(8);
      case 0xd9:
        return this.#text(this.#unsigned(1));
      case 0xda:
        return this.#text(this.#unsigned(2));
      case 0xdc:
        return this.#array(this.#unsigned(2), nesting);
      case 0xde:
        return this.#map(this.#unsigned(2), nesting);
      default:
        throw new NotAllowed();
    }
  }

  #take(count: number): Uint8Array {
    if (this.#at + count > this.#bytes.length) throw new NotAllowed();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  #unsigned(count: number): number {
    if (count === 8) return Number(this.#big(count));
    let sum = 0;
    for (const byte of this.#take(count)) sum = 256 * sum + byte;
    return sum;
  }

  #signed(count: number): number {
    return Number(BigInt.asIntN(8 * count, this.#big(count)));
  }

  #big(count: number): bigint {
    let sum = 0n;
    for (const byte of this.#take(count)) sum = 256n * sum + BigInt(byte);
    return sum;
  }

  /** IEEE 754: sign, exponent, fraction. */
  #float(count: 4 | 8): number {
    const bits = this.#big(count);
    const fractionBits = count === 4 ? 23n : 52n;
    const bias = count === 4 ? 127 : 1023;
    const sign = bits >> BigInt(8 * count - 1) === 1n ? -1 : 1;
    const exponent = Number((bits >> fractionBits) & BigInt(2 * bias + 1));
    const fraction = Number(bits & ((1n << fractionBits) - 1n)) / 2 ** Number(fractionBits);
    if (exponent === 2 * bias + 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
  }

  #text(bytes: number): string {
    const text = this.#take(bytes);
    const decoded = Buffer.from(text).toString('utf8');
    // What is not UTF-8 does not come back as it was.
    if (!Buffer.from(decoded, 'utf8').equals(text)) throw new NotAllowed();
    return decoded;
  }

  #array(items: number, nesting: number): Plain[] {
    if (nesting > NESTING_MAX) throw new NotAllowed();
    const array: Plain[] = [];
    for (let item = 0; item < items; item++) array.push(this.value(nesting + 1));
    return array;
  }

  #map(pairs: number, nesting: number): Map<string, Plain> {
    if (nesting > NESTING_MAX) throw new NotAllowed();
    const map = new Map<string, Plain>();
    for (let pair = 0; pair < pairs; pair++) {
      const key = this.value(nesting + 1);
      if (typeof key !== 'string' && typeof key !== 'number') throw new NotAllowed();
      map.set(String(key), this.value(nesting + 1));
    }
    return map;
  }
}
