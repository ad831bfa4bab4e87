/** The only file that imports more than types of ml-matrix. */
import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { ExitMap } from '../onnx/exit-map.js';
import type { RowProducts } from './row-products.js';

/**
 * Least squares from rows at an exit to rows at the end of the model, with sums that grow text by text.
 *
 * Both rows are divided by the size of the final one first: the model's last norm throws that size away, so a large row must
 * not count more than a small one ("Jump to Conclusions", Din et al. 2023, fits without; Tuned Lens, Belrose et al. 2023, trains
 * towards the logits). What is fitted is the difference `final − exit`: a ridge then pulls towards leaving the row as it is.
 */
export class RidgeFit {
  readonly #products: RowProducts;
  readonly #width: number;
  /** `(width + 1, width + 1)` and `(width + 1, width)`: of exit rows with a column for the bias, and of the differences. */
  readonly #gram: Float64Array;
  readonly #target: Float64Array;
  /** Rows in the sums. */
  rows = 0;
  /** The last inverse: several targets are solved for with the same one. */
  #solver: { lambda: number; rows: number; inverse: Matrix } | undefined;

  constructor(products: RowProducts, width: number) {
    this.#products = products;
    this.#width = width;
    this.#gram = new Float64Array((width + 1) ** 2);
    this.#target = new Float64Array((width + 1) * width);
  }

  /** `exit` and `final`: `(n, width)`. Sums are f32 within a text and f64 across texts. */
  async add(exit: Float32Array, final: Float32Array): Promise<void> {
    const width = this.#width;
    const { features, inverses } = this.#features(exit, final);
    const differences = final.map((value, at) => (value - exit[at]!) * inverses[Math.floor(at / width)]!);
    accumulate(this.#gram, await this.#products.multiply(features, features, inverses.length));
    accumulate(this.#target, await this.#products.multiply(features, differences, inverses.length));
    this.rows += inverses.length;
  }

  /** Adds to `target (width + 1, width)` what `asked (n, width)`, in sizes behind the last norm, asks of the same rows. */
  async addTarget(target: Float64Array, exit: Float32Array, final: Float32Array, asked: Float32Array): Promise<void> {
    const { features, inverses } = this.#features(exit, final);
    accumulate(target, await this.#products.multiply(features, asked, inverses.length));
  }

  /** Rows divided by the size of the final ones, and a column for the bias: `(n, width + 1)`. */
  #features(exit: Float32Array, final: Float32Array): { features: Float32Array; inverses: Float32Array } {
    const width = this.#width;
    const inverses = new Float32Array(final.length / width);
    const features = new Float32Array(inverses.length * (width + 1));
    for (let row = 0; row < inverses.length; row++) {
      const inverse = 1 / rootMeanSquare(final, row * width, width);
      inverses[row] = inverse;
      for (let i = 0; i < width; i++) features[row * (width + 1) + i] = exit[row * width + i]! * inverse;
      features[row * (width + 1) + width] = inverse;
    }
    return { features, inverses };
  }

  /**
   * `argmin ‖features · D − differences‖² + λ Σ gramᵢᵢ ‖Dᵢ‖²`: every channel is held back by its own size, the bias is not.
   * @returns `(width + 1, width)`
   */
  solve(lambda: number, target: Float64Array = this.#target): Matrix {
    const size = this.#width + 1;
    if (this.#solver?.lambda !== lambda || this.#solver.rows !== this.rows) {
      this.#solver = { lambda, rows: this.rows, inverse: this.#invert(lambda) };
    }
    return this.#solver.inverse.mmul(Matrix.from1DArray(size, this.#width, target));
  }

  #invert(lambda: number): Matrix {
    const size = this.#width + 1;
    const gram = Matrix.from1DArray(size, size, this.#gram);
    for (let i = 0; i < size; i++) {
      // The last term keeps a channel that is always zero solvable.
      gram.set(i, i, gram.get(i, i) * (1 + (i < this.#width ? lambda : 0)) + 1e-9 * (this.#gram[0]! + 1));
    }
    return new CholeskyDecomposition(gram).solve(Matrix.eye(size));
  }

  /** The directions in which the fitted differences are largest, `(width, width)`, the largest first. */
  directions(solution: Matrix): Matrix {
    const gram = Matrix.from1DArray(this.#width + 1, this.#width + 1, this.#gram);
    const spread = solution.transpose().mmul(gram.mmul(solution));
    const vectors = new EigenvalueDecomposition(spread, { assumeSymmetric: true }).eigenvectorMatrix;
    // Eigenvalues come in ascending order.
    return vectors.flipRows();
  }
}

/** Identity plus the difference, of which only `rank` directions are kept (reduced-rank regression); all of them by default. */
export function toExitMap(solution: Matrix, directions?: Matrix, rank?: number): ExitMap {
  const width = solution.columns;
  let difference = solution;
  if (directions && rank !== undefined) {
    const kept = directions.subMatrix(0, width - 1, 0, rank - 1);
    difference = solution.mmul(kept).mmul(kept.transpose());
  }
  const weight = new Float32Array(width * width);
  for (let input = 0; input < width; input++)
    for (let output = 0; output < width; output++)
      weight[output * width + input] = difference.get(input, output) + (input === output ? 1 : 0);
  return { weight, bias: Float32Array.from(difference.getRow(width)) };
}

function rootMeanSquare(rows: Float32Array, start: number, width: number): number {
  let sum = 0;
  for (let i = start; i < start + width; i++) sum += rows[i]! ** 2;
  return Math.sqrt(sum / width) + 1e-12;
}

function accumulate(sum: Float64Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
}
