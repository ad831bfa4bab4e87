/** Weight of a new measurement in a smoothed one (RFC 6298, section 2, uses it for round trips). */
const SMOOTHING = 1 / 8;

export function smooth(before: number | undefined, value: number): number {
  return before === undefined ? value : before + SMOOTHING * (value - before);
}
