import { RidgeFit, RowProducts, toExitMap } from '@tandem/model-kit';
import { seededRandom } from '@tandem/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const WIDTH = 12;
const ROWS = 64;
const random = seededRandom(9);
const noise = (count: number) => Float32Array.from({ length: count }, () => random.next() * 2 - 1);

let products: RowProducts;
beforeAll(async () => {
  products = await RowProducts.create();
});
afterAll(() => products.close());

describe('row products', () => {
  it('are leftᵀ · right', async () => {
    const left = Float32Array.of(1, 2, 3, 4, 5, 6);
    const right = Float32Array.of(1, 0, 1);
    // Three rows: left (3, 2), right (3, 1).
    expect([...(await products.multiply(left, right, 3))]).toEqual([6, 8]);
  });
});

describe('a fitted map', () => {
  const difference = noise(WIDTH * WIDTH);
  const bias = noise(WIDTH);

  it('finds the affine map that the rows hide, whatever the size of a row', async () => {
    const fit = new RidgeFit(products, WIDTH);
    for (let text = 0; text < 8; text++) {
      const exit = noise(ROWS * WIDTH).map((value) => value * 10 ** (text / 4));
      await fit.add(exit, moved(exit, difference, bias));
    }
    const map = toExitMap(fit.solve(1e-9));
    for (let output = 0; output < WIDTH; output++) {
      expect(map.bias[output]).toBeCloseTo(bias[output]!, 2);
      for (let input = 0; input < WIDTH; input++) {
        const expected = difference[output * WIDTH + input]! + (input === output ? 1 : 0);
        expect(map.weight[output * WIDTH + input]).toBeCloseTo(expected, 2);
      }
    }
  });

  it('leaves rows as they are when it is held back: towards the identity, not towards zero', async () => {
    const fit = new RidgeFit(products, WIDTH);
    const exit = noise(ROWS * WIDTH);
    await fit.add(exit, moved(exit, difference, new Float32Array(WIDTH)));
    const { weight } = toExitMap(fit.solve(1e6));
    expect(weight[0]).toBeCloseTo(1, 3);
    expect(weight[1]).toBeCloseTo(0, 3);
  });

  it('needs as many directions as the difference has', async () => {
    // Rank one: every row moves along one direction.
    const along = noise(WIDTH);
    const reads = noise(WIDTH);
    const rankOne = Float32Array.from(
      { length: WIDTH * WIDTH },
      (_, i) => along[Math.floor(i / WIDTH)]! * reads[i % WIDTH]!,
    );
    const fit = new RidgeFit(products, WIDTH);
    for (let text = 0; text < 4; text++) {
      const exit = noise(ROWS * WIDTH);
      await fit.add(exit, moved(exit, rankOne, new Float32Array(WIDTH)));
    }
    const solution = fit.solve(1e-9);
    const one = toExitMap(solution, fit.directions(solution), 1);
    const distance = Math.max(
      ...one.weight.map((value, i) => Math.abs(value - rankOne[i]! - (i % (WIDTH + 1) === 0 ? 1 : 0))),
    );
    expect(distance).toBeLessThan(1e-2);
  });
});

/** `(n, width)`: each row plus `difference · row + bias`. */
function moved(rows: Float32Array, difference: Float32Array, bias: Float32Array): Float32Array {
  return rows.map((value, at) => {
    const row = Math.floor(at / WIDTH) * WIDTH;
    const output = at % WIDTH;
    let sum = value + bias[output]!;
    for (let input = 0; input < WIDTH; input++) sum += difference[output * WIDTH + input]! * rows[row + input]!;
    return sum;
  });
}
