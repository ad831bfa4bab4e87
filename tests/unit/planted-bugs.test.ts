import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PLANTED_BUGS } from '../simulation/planted-bugs.js';

test.each(PLANTED_BUGS)('planted bug $name still has its place in $file', ({ file, find, replace }) => {
  const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  expect(source.split(find).length - 1).toBe(1);
  expect(find).not.toBe(replace);
});

test('there are a dozen, with names of their own', () => {
  const names = new Set(PLANTED_BUGS.map(({ name }) => name));
  expect(names.size).toBe(PLANTED_BUGS.length);
  expect(names.size).toBeGreaterThanOrEqual(12);
});
