/**
 * Places for the labels at the end of lines, from the lowest up: where lines end together, each label stands at least
 * `gap` above the one below it.
 */
export function spreadLabels<Point>(
  points: readonly Point[],
  heightOf: (point: Point) => number,
  gap: number,
): (Point & { labelAt: number })[] {
  let floor = Number.NEGATIVE_INFINITY;
  return [...points]
    .sort((a, b) => heightOf(a) - heightOf(b))
    .map((point) => {
      const labelAt = Math.max(heightOf(point), floor);
      floor = labelAt + gap;
      return { ...point, labelAt };
    });
}
