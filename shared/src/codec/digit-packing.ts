/**
 * Codes below `radix`, several to a word of `bits` bits, words one behind the other, least significant bit first.
 * Three codes of 25 values fit 14 bits (25^3 = 15,625 of 16,384), where whole bits for each would need 15.
 */
export interface DigitPacking {
  /** Codes are below it; at most 256. */
  readonly radix: number;
  /** Codes per word; the last word is filled up with zeros. */
  readonly digits: 1 | 3;
  /** Bits per word, at most 16; `radix ** digits <= 2 ** bits`. */
  readonly bits: number;
}

export function packedBytes({ digits, bits }: DigitPacking, count: number): number {
  return Math.ceil((Math.ceil(count / digits) * bits) / 8);
}

/** `codes (count)` → `target[start, start + packedBytes)`. `codes` must hold zeros up to the next whole word. */
export function packDigits(
  { radix, digits, bits }: DigitPacking,
  codes: Uint8Array,
  count: number,
  target: Uint8Array,
  start: number,
): void {
  let pending = 0;
  let pendingBits = 0;
  let at = start;
  for (let i = 0; i < count; i += digits) {
    const word = digits === 1 ? codes[i]! : codes[i]! + radix * (codes[i + 1]! + radix * codes[i + 2]!);
    pending |= word << pendingBits;
    pendingBits += bits;
    while (pendingBits >= 8) {
      target[at++] = pending;
      pending >>>= 8;
      pendingBits -= 8;
    }
  }
  if (pendingBits > 0) target[at] = pending;
}

/**
 * The inverse; writes whole words, up to two codes beyond `count`. A word that no encoder writes gives last digits of
 * `radix` and more: the level table has NaN there, and the engine refuses rows that are not finite.
 */
export function unpackDigits(
  { radix, digits, bits }: DigitPacking,
  source: Uint8Array,
  start: number,
  codes: Uint8Array,
  count: number,
): void {
  const mask = (1 << bits) - 1;
  let pending = 0;
  let pendingBits = 0;
  let at = start;
  for (let i = 0; i < count; i += digits) {
    while (pendingBits < bits) {
      pending |= source[at++]! << pendingBits;
      pendingBits += 8;
    }
    let word = pending & mask;
    pending >>>= bits;
    pendingBits -= bits;
    if (digits === 3) {
      for (let digit = 0; digit < 2; digit++) {
        const rest = (word / radix) | 0;
        codes[i + digit] = word - rest * radix;
        word = rest;
      }
      codes[i + 2] = word;
    } else codes[i] = word;
  }
}
