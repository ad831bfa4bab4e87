import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const LOAD = fileURLToPath(new URL('../dist/load/main.js', import.meta.url));

interface Report {
  load: {
    checks: { what: string; value: number; limit: number; unit: string }[];
    control: { value: number; limit: number };
  }[];
}

/** Shares and times are those of a machine that has nothing else to do: the command holds them, a test would fail of a neighbour. */
const TIMED = ['%', 'ms', 's'];

/** Small versions of `npm run load`, which has the sizes that the docs tell. Each brings a control that must not hold. */
describe('under load', () => {
  it.each([
    ['sockets', 600],
    ['detached', 600],
    ['churn', 800],
    ['overload', 6],
  ])('%s %i', (name, size) => {
    const { stdout, stderr } = spawnSync(process.execPath, [LOAD, name, '--size', `${size}`, '--json'], {
      encoding: 'utf8',
      timeout: 180_000,
    });
    expect(stderr).toBe('');
    const [report] = (JSON.parse(stdout) as Report).load;
    expect(report!.checks.filter(({ value, limit, unit }) => value > limit && !TIMED.includes(unit))).toEqual([]);
    expect(report!.control.value).toBeGreaterThan(report!.control.limit);
  });
});
