import { BLOCK_SIZES, dequantise, quantise } from '@tandem/model-kit';
import { seededRandom } from '@tandem/shared';
import { describe, expect, it } from 'vitest';

const OUTPUTS = 5;
const INPUTS = 3 * 64 + 7;

describe.each([8, 4] as const)('quantise to %i bits', (bits) => {
  const blockSize = BLOCK_SIZES[bits];
  const largest = 2 ** (bits - 1);

  it('is off by at most half a step of its block', () => {
    const random = seededRandom(bits);
    const matrix = Float32Array.from({ length: OUTPUTS * INPUTS }, () => (random.next() * 2 - 1) ** 3);
    const quantised = quantise(matrix, OUTPUTS, INPUTS, bits);
    const restored = dequantise(quantised, OUTPUTS, INPUTS);
    for (let i = 0; i < matrix.length; i++) {
      const block = Math.floor(i / INPUTS) * quantised.blocks + Math.floor((i % INPUTS) / blockSize);
      const step = Math.abs(quantised.scales[block]!);
      // At 4 bits one end of the range is a step shorter than the other.
      const slack = bits === 4 ? 1 : 0.5;
      expect(Math.abs(restored[i]! - matrix[i]!)).toBeLessThanOrEqual(step * slack * 1.00001);
    }
  });

  it('keeps the largest number of a block, of either sign', () => {
    for (const extreme of [3, -3]) {
      const matrix = Float32Array.from({ length: blockSize }, (_, i) => (i === 5 ? extreme : 0.1));
      expect(dequantise(quantise(matrix, 1, blockSize, bits), 1, blockSize)[5]).toBeCloseTo(extreme, 5);
    }
  });

  it('stores zeros for an all-zero block and for the padding', () => {
    const matrix = new Float32Array(OUTPUTS * INPUTS);
    const { data, scales } = quantise(matrix, OUTPUTS, INPUTS, bits);
    expect(scales.every((scale) => scale === 0)).toBe(true);
    expect(data.every((byte) => byte === (bits === 8 ? largest : 0x88))).toBe(true);
    const padded = quantise(matrix.fill(1), OUTPUTS, INPUTS, bits);
    const lastByte = padded.data.at(-1)!;
    expect(lastByte).toBe(bits === 8 ? largest : 0x88);
  });

  it('survives huge, tiny and denormal numbers', () => {
    const matrix = Float32Array.of(3e38, -3e38, 1e-38, 1e-45, 0, -0);
    const restored = dequantise(quantise(matrix, 1, matrix.length, bits), 1, matrix.length);
    expect(restored.every(Number.isFinite)).toBe(true);
    const denormals = new Float32Array(8).fill(1e-45);
    expect(dequantise(quantise(denormals, 1, 8, bits), 1, 8).every(Number.isFinite)).toBe(true);
  });
});

it('packs two numbers per byte at 4 bits, the first in the low half', () => {
  // The extreme 8 gets scale -1 and is stored as 0; 1 becomes -1 + 8 = 7.
  const matrix = Float32Array.from({ length: 32 }, (_, i) => (i === 0 ? 8 : i === 1 ? 1 : 0));
  const { data, scales } = quantise(matrix, 1, 32, 4);
  expect(scales[0]).toBe(-1);
  expect(data[0]).toBe(0x70);
  expect(data[1]).toBe(0x88);
});
