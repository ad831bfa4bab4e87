/** The figures of policies.md, out of the result of `bench policies --json` that lies beside it. */
import { readFileSync } from 'node:fs';
import { table } from './markdown.js';

export const POLICIES = JSON.parse(readFileSync(new URL('../benchmarks/policies.json', import.meta.url), 'utf8'));

const EPSILONS = Object.keys(POLICIES.rows[0].settledAt).sort((a, b) => a - b);

export const POLICY_TABLES = { 'policy-run': runTable, policies: policyTable, splits: splitTable };

function runTable() {
  const { machine, commit, seed, format, text, positions, delta } = POLICIES;
  return table(
    ['', ''],
    [
      ['machine', machine],
      ['commit', `\`${commit}\``],
      ['model', `the embedded one in ${format}`],
      ['text', `${text}, judged on ${positions.toLocaleString('en')} tokens`],
      ['confidence of the calibrated ones', `${percent(1 - delta, 0)}, seed ${seed}`],
    ],
  );
}

function policyTable() {
  const rows = POLICIES.rows.map(({ policy, source, settledAt }) => [
    policy,
    source,
    ...EPSILONS.map((epsilon) => percent(settledAt[epsilon])),
  ]);
  const oracle = ['**oracle**', 'knows the right answer', ...EPSILONS.map(() => percent(POLICIES.oracle.settled))];
  return table(['policy', 'source', ...EPSILONS.map((epsilon) => `at ${percent(Number(epsilon))}`)], [...rows, oracle]);
}

function splitTable() {
  const rows = POLICIES.splits.map(({ policy, epsilon, splits, exceeded, disagreement, settled }) => [
    policy,
    percent(epsilon),
    `${Math.round(exceeded * splits)} of ${splits}`,
    percent(disagreement, 2),
    percent(settled),
  ]);
  return table(['policy', 'ε', 'splits that disagree more', 'mean disagreement', 'mean settled'], rows);
}

function percent(share, digits = 1) {
  return `${(share * 100).toFixed(digits)} %`;
}
