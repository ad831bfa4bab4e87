/**
 * IEEE 754 binary16 from and to binary32, round to nearest even.
 * Method: F. Giesen, "half-float conversions" (float_to_half_fast3_rtne, half_to_float); no table, no allocation.
 */
const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

const F32_INFINITY_BITS = 0x7f800000;
/** 65,536 as f32: everything from here on overflows a half. */
const HALF_OVERFLOW_BITS = 0x47800000;
/** 2^-14 as f32: everything below is a half denormal. */
const HALF_NORMAL_MIN_BITS = 0x38800000;
/** 0.5 as f32: adding it aligns the mantissa of a denormal, and the FPU rounds to nearest even. */
const DENORMAL_MAGIC = 0.5;
const DENORMAL_MAGIC_BITS = 0x3f000000;
/** 2^112 rebiases the exponent of a half that was shifted into an f32. */
const HALF_REBIAS = 2 ** 112;

/** One number to the 16 bits of a half. NaN stays NaN, overflow becomes infinity. */
export function floatToHalf(value: number): number {
  scratchFloat[0] = value;
  return bitsToHalf(scratchBits[0]!);
}

export function halfToFloat(half: number): number {
  scratchBits[0] = (half & 0x7fff) << 13;
  let value = scratchFloat[0]! * HALF_REBIAS;
  if ((half & 0x7c00) === 0x7c00) value = (half & 0x3ff) === 0 ? Infinity : NaN;
  return half & 0x8000 ? -value : value;
}

/** `source (n)` f32 → `target (n)` halves. */
export function floatsToHalves(source: Float32Array, target: Uint16Array): void {
  // Integer view of the same memory: reading bits costs nothing then.
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) target[i] = bitsToHalf(bits[i]!);
}

/** `source (n)` halves → `target (n)` f32. */
export function halvesToFloats(source: Uint16Array, target: Float32Array): void {
  for (let i = 0; i < source.length; i++) target[i] = halfToFloat(source[i]!);
}

function bitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= HALF_OVERFLOW_BITS) return sign | (magnitude > F32_INFINITY_BITS ? 0x7e00 : 0x7c00);
  if (magnitude < HALF_NORMAL_MIN_BITS) {
    scratchBits[0] = magnitude;
    scratchFloat[0] = scratchFloat[0]! + DENORMAL_MAGIC;
    return sign | (scratchBits[0]! - DENORMAL_MAGIC_BITS);
  }
  const mantissaIsOdd = (magnitude >>> 13) & 1;
  // Rebias the exponent by -112 and round half to even in one addition.
  return sign | (((magnitude + 0xc8000fff + mantissaIsOdd) >>> 13) & 0x7fff);
}
