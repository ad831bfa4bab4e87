import type { ModelShape } from '@tandem/shared';
import type { Checkpoint, TensorName } from './checkpoint.js';

/**
 * Gives a model with a single KV head (multi-query attention) a second one; other models pass unchanged.
 *
 * The results are the same, the KV cache doubles. It is needed because ONNX Runtime folds all rows into one matrix product when
 * the right-hand side has no batch dimension above one, and then takes another kernel for one row than for several: rows
 * would depend on their grouping (measured).
 *
 * With an even number of query heads each copy of the KV head serves one half of them. With an odd number the query
 * heads are doubled too, and the output matrix ignores the second half.
 */
export function splitSingleKvHead(checkpoint: Checkpoint): Checkpoint {
  const { shape } = checkpoint;
  if (shape.kvHeads !== 1) return checkpoint;
  const normsWhole = checkpoint.arithmetic?.queryKeyNorm === 'whole';
  const doublesQueries = shape.heads % 2 !== 0;
  const read = async (tensor: TensorName) => {
    const values = await checkpoint.read(tensor);
    if (/\.(key|value)(Bias)?$/.test(tensor)) return twice(values);
    // The mean square of a vector and of its double are the same.
    if (normsWhole && tensor.endsWith('.keyNorm')) return twice(values);
    if (doublesQueries && /\.query(Bias)?$/.test(tensor)) return twice(values);
    if (doublesQueries && normsWhole && tensor.endsWith('.queryNorm')) return twice(values);
    if (doublesQueries && tensor.endsWith('.output')) return withUnusedInputs(values, shape);
    return values;
  };
  const isWhole = (tensor: TensorName) => /\.(query|key|value|output)$/.test(tensor);
  return {
    name: checkpoint.name,
    architecture: checkpoint.architecture,
    arithmetic: checkpoint.arithmetic,
    shape: { ...shape, kvHeads: 2, heads: doublesQueries ? 2 * shape.heads : shape.heads },
    tiedHead: checkpoint.tiedHead,
    bosTokenId: checkpoint.bosTokenId,
    eosTokenIds: checkpoint.eosTokenIds,
    fittedExits: checkpoint.fittedExits,
    tokenizer: checkpoint.tokenizer,
    read,
    readLines: async (tensor, begin, end) =>
      isWhole(tensor) ? undefined : await checkpoint.readLines?.(tensor, begin, end),
    identity: checkpoint.identity,
    fingerprint: (signal) => checkpoint.fingerprint(signal),
    close: () => checkpoint.close(),
  };
}

function twice(values: Float32Array): Float32Array {
  const doubled = new Float32Array(2 * values.length);
  doubled.set(values);
  doubled.set(values, values.length);
  return doubled;
}

/** `(width, inputs)` → `(width, 2 * inputs)` with zeros for the second half of each line. */
function withUnusedInputs(matrix: Float32Array, shape: ModelShape): Float32Array {
  const inputs = shape.heads * shape.headDim;
  const padded = new Float32Array(2 * matrix.length);
  for (let line = 0; line < shape.width; line++) {
    padded.set(matrix.subarray(line * inputs, (line + 1) * inputs), 2 * line * inputs);
  }
  return padded;
}
