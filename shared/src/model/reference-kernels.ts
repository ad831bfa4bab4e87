/**
 * The kernels of the reference transformer: one row at a time, f32 storage, sums in double precision.
 * They are written to be checked by hand (after llama2.c), and quick enough for models of a few million weights.
 */

/** `out (outputs) = matrix (outputs, inputs) · input (inputs)`. */
export function multiply(matrix: Float32Array, input: Float32Array, out: Float32Array): void {
  const inputs = input.length;
  const unrolled = inputs - (inputs % 4);
  for (let o = 0, base = 0; o < out.length; o++, base += inputs) {
    // Four sums: one would wait for its own last addition at every step.
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let i = 0; i < unrolled; i += 4) {
      a += matrix[base + i]! * input[i]!;
      b += matrix[base + i + 1]! * input[i + 1]!;
      c += matrix[base + i + 2]! * input[i + 2]!;
      d += matrix[base + i + 3]! * input[i + 3]!;
    }
    for (let i = unrolled; i < inputs; i++) a += matrix[base + i]! * input[i]!;
    out[o] = a + b + c + d;
  }
}

/** RMS norm (Zhang and Sennrich 2019): `out = input / √(mean(input²) + epsilon) · gain`, all `(width)`. */
export function normalise(input: Float32Array, gain: Float32Array, epsilon: number, out: Float32Array): void {
  let squares = 0;
  for (const value of input) squares += value * value;
  const factor = 1 / Math.sqrt(squares / input.length + epsilon);
  for (let i = 0; i < input.length; i++) out[i] = input[i]! * factor * gain[i]!;
}

/** Layer norm (Ba et al. 2016): `out = (input - mean) / √(variance + epsilon) · gain + bias`, all `(width)`. */
export function normaliseCentred(
  input: Float32Array,
  { gain, bias }: { gain: Float32Array; bias: Float32Array },
  epsilon: number,
  out: Float32Array,
): void {
  let sum = 0;
  for (const value of input) sum += value;
  const mean = sum / input.length;
  let squares = 0;
  for (const value of input) squares += (value - mean) ** 2;
  const factor = 1 / Math.sqrt(squares / input.length + epsilon);
  for (let i = 0; i < input.length; i++) out[i] = (input[i]! - mean) * factor * gain[i]! + bias[i]!;
}

/** Turns every head of `heads (count, headDim)` in place; `cosines` and `sines` are `(headDim / 2)`, those of the position. */
export function rotate(heads: Float32Array, headDim: number, cosines: Float32Array, sines: Float32Array): void {
  const half = headDim / 2;
  for (let base = 0; base < heads.length; base += headDim) {
    for (let i = 0; i < half; i++) {
      const first = heads[base + i]!;
      const second = heads[base + half + i]!;
      heads[base + i] = first * cosines[i]! - second * sines[i]!;
      heads[base + half + i] = second * cosines[i]! + first * sines[i]!;
    }
  }
}

export type Activation = 'silu' | 'gelu-tanh';

/** In place: silu(x) = x / (1 + e^-x), or gelu(x) ≈ x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))) (Hendrycks and Gimpel 2016). */
export function activate(values: Float32Array, activation: Activation): void {
  switch (activation) {
    case 'silu':
      for (let i = 0; i < values.length; i++) values[i] = values[i]! / (1 + Math.exp(-values[i]!));
      return;
    case 'gelu-tanh':
      for (let i = 0; i < values.length; i++) {
        const x = values[i]!;
        values[i] = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
      }
  }
}

/** `target *= factor`, element by element. */
export function gate(target: Float32Array, factor: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! * factor[i]!;
}

/** `target += addend`, element by element. */
export function accumulate(target: Float32Array, addend: Float32Array): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + addend[i]!;
}

/**
 * Attention of one query head over the positions `[first, end)`.
 *
 * `query (headDim)`, `keys` and `values (positions, kvHeads, headDim)`, of which head `kvHead` is read;
 * `scores` is scratch for at least `end` numbers; `out (headDim)`.
 */
export function attend(
  query: Float32Array,
  cache: { keys: Float32Array; values: Float32Array; stride: number; offset: number },
  { first, end, scale }: { first: number; end: number; scale: number },
  scores: Float64Array,
  out: Float32Array,
): void {
  const { keys, values, stride, offset } = cache;
  let highest = -Infinity;
  for (let position = first; position < end; position++) {
    let score = 0;
    for (let i = 0; i < query.length; i++) score += query[i]! * keys[position * stride + offset + i]!;
    scores[position] = score * scale;
    highest = Math.max(highest, scores[position]!);
  }
  let total = 0;
  for (let position = first; position < end; position++) {
    scores[position] = Math.exp(scores[position]! - highest);
    total += scores[position]!;
  }
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (let position = first; position < end; position++)
      sum += scores[position]! * values[position * stride + offset + i]!;
    out[i] = sum / total;
  }
}
