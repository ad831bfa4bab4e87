/**
 * Fast Walsh-Hadamard transform in place, not normalised: `values (size)` becomes `H values`, with
 * `H[i][j] = (-1)^popcount(i & j)`. `size` is a power of two. `H H = size`, so the transform is its own inverse but for
 * that factor, which the callers fold into their scales.
 *
 * size · log2(size) additions (Fino and Algazi 1976); two butterfly levels in one pass, because the loads and stores
 * cost more than the additions. The order of the additions is fixed, so every engine computes the same bits.
 */
export function hadamard(values: Float64Array, size: number): void {
  let half = 1;
  for (; half * 4 <= size; half *= 4) twoLevels(values, size, half);
  if (half * 2 <= size) oneLevel(values, size, half);
}

function twoLevels(values: Float64Array, size: number, half: number): void {
  for (let block = 0; block < size; block += 4 * half) {
    for (let i = block; i < block + half; i++) {
      const a = values[i]!;
      const b = values[i + half]!;
      const c = values[i + 2 * half]!;
      const d = values[i + 3 * half]!;
      const sumFirst = a + b;
      const differenceFirst = a - b;
      const sumSecond = c + d;
      const differenceSecond = c - d;
      values[i] = sumFirst + sumSecond;
      values[i + half] = differenceFirst + differenceSecond;
      values[i + 2 * half] = sumFirst - sumSecond;
      values[i + 3 * half] = differenceFirst - differenceSecond;
    }
  }
}

function oneLevel(values: Float64Array, size: number, half: number): void {
  for (let block = 0; block < size; block += 2 * half) {
    for (let i = block; i < block + half; i++) {
      const a = values[i]!;
      const b = values[i + half]!;
      values[i] = a + b;
      values[i + half] = a - b;
    }
  }
}
