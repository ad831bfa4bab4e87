import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { AllocationGuard } from './allocation-guard.js';
import { FUZZ_BUGS } from './planted-bugs.js';
import { INPUTS, type InputKind, runRange } from './run-range.js';

const root = new URL('../../', import.meta.url);

describe('hostile input', () => {
  test.each<[InputKind, number]>([
    ['frame', 30_000],
    ['control', 10_000],
  ])('of kind %s, %d times, is read as the slow decoder reads it, or refused with its code', (kind, end) => {
    const range = { kind, seed: '7f3a', first: 0, end, step: 1, stopsAtFailure: false, budgetMs: 60_000 };
    const { verdicts, failures } = runRange(range);
    expect(failures).toEqual([]);
    // Neither side may be right by refusing, or by taking, everything.
    expect(verdicts.refused).toBeGreaterThan(end / 3);
    expect(verdicts.message + verdicts.rows).toBeGreaterThan(end / 40);
  });

  test('is the same for a seed and a number', () => {
    const [one, again, other] = [7, 7, 8].map((index) =>
      Buffer.from(INPUTS.frame('7f3a', index).bytes).toString('hex'),
    );
    expect(one).toBe(again);
    expect(one).not.toBe(other);
  });
});

test('an allocation by an announced length is seen', () => {
  const guard = new AllocationGuard();
  guard.install();
  try {
    guard.take();
    new Uint8Array(1_000);
    new Array(10);
    new Float32Array([1, 2]);
    expect(guard.take()).toBe(1_080);
  } finally {
    guard.remove();
  }
});

describe('planted bugs', () => {
  test.each(FUZZ_BUGS)('$name still has its place in $file', ({ file, find }) => {
    const source = readFileSync(new URL(file, root), 'utf8');
    expect(source.split(find).length - 1).toBe(1);
  });

  test('a decoder without its guard is found out, with the input that shows it', () => {
    const main = fileURLToPath(new URL('tests/dist/fuzz/main.js', root));
    const limits = ['--frames', '20000', '--controls', '0', '--planted', 'announced-items', '--json'];
    const { stdout, status } = spawnSync(process.execPath, [main, ...limits], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
    expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({ missed: 0 });
  });
});
