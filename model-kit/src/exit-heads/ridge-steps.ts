import type { Matrix } from 'ml-matrix';
import { ExpectedHeads } from './expected-heads.js';
import type { HeadJudge, JudgedRows } from './head-judge.js';
import { type RidgeFit, toExitMap } from './ridge.js';

/** Rows at an exit with what came of them at the end. */
export interface FittedRows extends JudgedRows {
  /** `(n, width)`: rows after the last layer. */
  final: Float32Array;
}

const STEPS = 4;
/** Length of a step for a row that is wholly wrong, in lengths of a row behind the last norm. */
const STEP_LENGTH = 0.75;

/**
 * Least squares wants every number of the final row right; the head only asks which token wins. So a few more ridge
 * regressions follow, with the same matrix, each towards what the cross-entropy still asks for: `head of the right token −
 * expected head`. Every one is in closed form.
 *
 * @returns the solution after each step
 */
export async function ridgeSteps(
  fit: RidgeFit,
  judge: HeadJudge,
  { solution, lambda }: { solution: Matrix; lambda: number },
  texts: readonly FittedRows[],
): Promise<Matrix[]> {
  const heads = await judge.tokenDirections();
  const width = solution.columns;
  const expected = await ExpectedHeads.create(heads, width);
  const scale = (STEP_LENGTH * Math.sqrt(width)) / meanLength(heads, width);
  const results: Matrix[] = [];
  let current = solution;
  for (let step = 0; step < STEPS; step++) {
    const map = toExitMap(current);
    const target = new Float64Array((width + 1) * width);
    let rows = 0;
    for (const text of texts) {
      const asked = await expected.asked(await judge.logits(map, text.rows), text.truth);
      await fit.addTarget(target, text.rows, text.final, asked);
      rows += text.truth.length;
    }
    // The texts are a sample of those behind the matrix.
    const weight = (scale * fit.rows) / rows;
    current = current.clone().add(
      fit.solve(
        lambda,
        target.map((value) => value * weight),
      ),
    );
    results.push(current);
  }
  await expected.close();
  return results;
}

function meanLength(heads: Float32Array, width: number): number {
  let sum = 0;
  for (let start = 0; start < heads.length; start += width) {
    let square = 0;
    for (let i = start; i < start + width; i++) square += heads[i]! ** 2;
    sum += Math.sqrt(square);
  }
  return sum / (heads.length / width);
}
