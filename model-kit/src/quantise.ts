/**
 * Block quantisation for ONNX Runtime's `MatMulNBits`, symmetric, round to nearest.
 *
 * Each row of a matrix `(outputs, inputs)` is cut into blocks of `blockSize`; a block stores one f32 scale and its
 * numbers as unsigned integers around a middle: `value = (stored - 2^(bits-1)) · scale`. The last block is padded with zeros.
 */
export interface QuantisedMatrix {
  bits: 4 | 8;
  blockSize: number;
  /** `(outputs, blocks, blockSize * bits / 8)`; at 4 bits the even element is in the low half of its byte. */
  data: Uint8Array;
  /** `(outputs, blocks)`. */
  scales: Float32Array;
  blocks: number;
}

/**
 * Block sizes by bits: the largest that keep rows independent of each other.
 *
 * With larger blocks (8 bits: 128, 256; 4 bits: 64 and more) the kernels of ONNX Runtime 1.30 for x64 take rows in pairs and add
 * up in another order than for a single row; with these every row had the same bits in runs of 1 to 70 rows.
 */
export const BLOCK_SIZES = { 8: 64, 4: 32 } as const;

/** `matrix` is `(outputs, inputs)`; it may hold any finite numbers. */
export function quantise(matrix: Float32Array, outputs: number, inputs: number, bits: 4 | 8): QuantisedMatrix {
  const target = createQuantised(outputs, inputs, bits);
  quantiseLines(matrix, inputs, target, 0);
  return target;
}

/** Room for a quantised matrix of that shape. */
export function createQuantised(outputs: number, inputs: number, bits: 4 | 8): QuantisedMatrix {
  const blockSize = BLOCK_SIZES[bits];
  const blocks = Math.ceil(inputs / blockSize);
  const data = new Uint8Array((outputs * blocks * blockSize * bits) / 8);
  return { bits, blockSize, data, scales: new Float32Array(outputs * blocks), blocks };
}

/**
 * Writes some rows of a matrix, whole and in order, into `target` from its row `first` on. At 8 bits the scale of a block with a
 * number that is not finite is not finite either.
 */
export function quantiseLines(rows: Float32Array, inputs: number, target: QuantisedMatrix, first: number): void {
  const { bits, blockSize, blocks, data, scales } = target;
  const pack = bits === 4 ? packBlock4 : packBlock8;
  const count = rows.length / inputs;
  const rowBits = new Uint32Array(rows.buffer, rows.byteOffset, rows.length);
  for (let row = 0; row < count; row++) {
    for (let block = 0; block < blocks; block++) {
      const begin = row * inputs + block * blockSize;
      const end = Math.min(begin + blockSize, (row + 1) * inputs);
      const index = (first + row) * blocks + block;
      scales[index] = pack(rows, rowBits, begin, end, data, (index * blockSize * bits) / 8, blockSize);
    }
  }
}

/** The numbers that the stored ones stand for, `(outputs, inputs)`. */
export function dequantise(quantised: QuantisedMatrix, outputs: number, inputs: number): Float32Array {
  const { bits, blockSize, blocks, data, scales } = quantised;
  const middle = 1 << (bits - 1);
  const matrix = new Float32Array(outputs * inputs);
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      const element = output * blocks * blockSize + input;
      const stored = bits === 8 ? data[element]! : (data[element >> 1]! >> ((element & 1) * 4)) & 15;
      matrix[output * inputs + input] = (stored - middle) * scales[output * blocks + Math.floor(input / blockSize)]!;
    }
  }
  return matrix;
}

/** The number of `matrix[begin, end)` that lies farthest from zero, with its sign. */
function extreme(matrix: Float32Array, begin: number, end: number): number {
  let lowest = 0;
  let highest = 0;
  for (let i = begin; i < end; i++) {
    const value = matrix[i]!;
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  return -lowest > highest ? lowest : highest;
}

/** The largest magnitude of the floats with the bits `[begin, end)`: infinite or NaN where one of them is. */
function magnitude(bits: Uint32Array, begin: number, end: number): number {
  // Without their sign floats have the order of their bits, and integers are compared in half the time.
  let largest = 0;
  for (let i = begin; i < end; i++) {
    const each = bits[i]! & 0x7fffffff;
    if (each > largest) largest = each;
  }
  scratchBits[0] = largest;
  return scratchFloat[0]!;
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** Writes one block of bytes from `at` on and returns its scale. `bits` are those of the matrix. */
function packBlock8(
  matrix: Float32Array,
  bits: Uint32Array,
  begin: number,
  end: number,
  data: Uint8Array,
  at: number,
  size: number,
): number {
  const scale = Math.fround(magnitude(bits, begin, end) / 127);
  // An all-zero block has scale 0: it stores zeros, not 0/0.
  const inverse = scale === 0 ? 0 : 1 / scale;
  if (end - begin < size) data.fill(128, at, at + size);
  // The store cuts off what is behind the point, so the half rounds, and ties go up.
  for (let i = begin; i < end; i++) data[at + i - begin] = matrix[i]! * inverse + 128.5;
  return scale;
}

/**
 * Four bits hold -8 to 7. The scale has the sign that maps the extreme number to -8, the end with more room
 * (as ggml's q4_0 does): a sixteenth more resolution than ±7 for nothing.
 */
function packBlock4(
  matrix: Float32Array,
  _bits: Uint32Array,
  begin: number,
  end: number,
  data: Uint8Array,
  at: number,
  size: number,
): number {
  const scale = Math.fround(extreme(matrix, begin, end) / -8);
  const inverse = scale === 0 ? 0 : 1 / scale;
  if (end - begin < size) data.fill(0x88, at, at + size / 2);
  const whole = (end - begin) & ~1;
  for (let i = 0; i < whole; i += 2) {
    const low = store4(matrix[begin + i]!, inverse);
    const high = store4(matrix[begin + i + 1]!, inverse);
    data[at + (i >> 1)] = low | (high << 4);
  }
  // The padding behind an odd end keeps the middle.
  if (whole < end - begin) data[at + (whole >> 1)] = store4(matrix[end - 1]!, inverse) | 0x80;
  return scale;
}

/** Rounds to 0 … 15, the middle at 8. */
function store4(value: number, inverse: number): number {
  return Math.min(15, (value * inverse + 8.5) | 0);
}
