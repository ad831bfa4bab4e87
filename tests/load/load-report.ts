/** One line of a load test: what was measured, and what it has to stay at or below. */
export interface LoadCheck {
  what: string;
  value: number;
  limit: number;
  unit: string;
}

export interface LoadReport {
  test: string;
  size: number;
  /** All of them must hold. */
  checks: LoadCheck[];
  /** The same measure where the guard is missing or the load is worse: it must not hold, or the test could not fail. */
  control: LoadCheck;
  /** What else was seen. */
  figures: Record<string, number>;
}

export function holds({ value, limit }: LoadCheck): boolean {
  return value <= limit;
}

export function isGood({ checks, control }: LoadReport): boolean {
  return checks.every(holds) && !holds(control);
}

export function describeCheck({ what, value, limit, unit }: LoadCheck): string {
  return `${what}: ${format(value)} ${unit}, limit ${format(limit)}`;
}

function format(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en') : value.toPrecision(3);
}
