/**
 * Breaks the built code on purpose, one guard at a time, and runs the tests that should notice.
 * `node tests/planted-bugs.js` after `npm run build`; the closing line says how many were found.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** `find` must occur exactly once in the built file. `tests`: files of which at least one must fail. */
const BUGS = [
  {
    name: 'KV append: keys of a new position land one further',
    file: 'shared/dist/stage/kv-cache.js',
    find: 'const position = this.#length + i;',
    replace: 'const position = this.#length + i + (i === 0 && this.#length > 3 ? 1 : 0);',
    tests: ['tests/contracts'],
  },
  {
    name: 'truncate: the device chain keeps what was rolled back',
    file: 'shared/dist/stage/stage-chain.js',
    find: 'stage.truncate(length);',
    replace: 'void 0;',
    tests: ['tests/unit/stage-chain.test.ts', 'tests/integration/exact.test.ts'],
  },
  {
    name: 'truncate: forgotten positions are not zeroed',
    file: 'shared/dist/stage/kv-cache.js',
    find: 'array[i] = 0;',
    replace: 'void i;',
    tests: ['tests/contracts'],
  },
  {
    name: 'catch-up: rows that wait for a deeper stage are dropped',
    file: 'shared/dist/stage/stage-chain.js',
    find: 'this.#pending[index + 1] = join(this.#pending[index + 1], {',
    replace: 'this.#pending[index + 1] = join(undefined, {',
    tests: ['tests/unit/stage-chain.test.ts', 'tests/integration/exact.test.ts'],
  },
  {
    name: 'draft compare: a draft that differs is confirmed',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'entry.token !== token',
    replace: 'false',
    tests: ['tests/property/ledger.test.ts', 'tests/integration/exact.test.ts'],
  },
  {
    name: 'draft compare on the server: judging goes on behind a mismatch',
    file: 'shared/dist/engine/chain-engine.js',
    find: 'draft !== undefined && draft !== NO_DRAFT && draft !== token',
    replace: 'false',
    tests: ['tests/integration/exact.test.ts', 'tests/integration/session.test.ts', 'tests/unit'],
  },
  {
    name: 'sampler key: the noise forgets the position',
    file: 'shared/dist/sampling/gumbel-noise.js',
    find: 'Math.imul(position + 1, 0x9e3779b1)',
    replace: '0',
    tests: ['tests/unit/sampler.test.ts'],
  },
  {
    name: 'codec scale: int8 divides by another scale than it sends',
    file: 'shared/dist/codec/int8-codec.js',
    find: 'quantiseToBytes(rows, start, width, scale,',
    replace: 'quantiseToBytes(rows, start, width, 1.01 * scale,',
    tests: ['tests/unit', 'tests/contracts'],
  },
  {
    name: 'epoch: old verdicts are applied',
    file: 'edge-sdk/dist/ledger/ledger.js',
    find: 'if (verdict.epoch !== this.epoch)',
    replace: 'if (false)',
    tests: ['tests/property/ledger.test.ts'],
  },
];

const wanted = process.argv[2];
const missed = [];
const chosen = BUGS.filter(({ name }) => !wanted || name.includes(wanted));
for (const bug of chosen) {
  const path = `${root}${bug.file}`;
  const source = readFileSync(path, 'utf8');
  if (source.split(bug.find).length !== 2) throw new Error(`${bug.file} has "${bug.find}" not exactly once`);
  writeFileSync(path, source.replace(bug.find, bug.replace));
  try {
    const run = spawnSync('npx', ['vitest', 'run', '--bail', '1', ...bug.tests], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    });
    // A run that fails without naming a test has found nothing: something else is wrong.
    const [test] = (run.stdout + run.stderr).match(/FAIL .*/) ?? ['no test failed'];
    const found = run.status !== 0 && test !== 'no test failed';
    console.log(`${found ? 'found ' : 'MISSED'}  ${bug.name}\n        ${test}`);
    if (!found) missed.push(bug.name);
  } finally {
    writeFileSync(path, source);
  }
}
console.log(`${chosen.length - missed.length} passed, ${missed.length} failed`);
process.exitCode = missed.length > 0 ? 1 : 0;
