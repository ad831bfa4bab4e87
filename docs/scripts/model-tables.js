/** The figures of models.md, out of the results of `bench parity`, `bench formats` and `tandem report` that are kept. */
import { readFileSync } from 'node:fs';
import { ARCHITECTURES } from '@tandem/model-kit';
import { DECODE } from './benchmark-tables.js';
import { table } from './markdown.js';
import { REPORT } from './report-picture.js';

const PARITY = resultOf('parity');
const FORMATS = resultOf('formats');

export const MODEL_TABLES = {
  architectures: architectureTable,
  'parity-run': parityRun,
  formats: formatTable,
  'formats-run': formatsRun,
  report: reportTable,
};

function architectureTable() {
  const rows = ARCHITECTURES.map(({ modelType, className, models }) => {
    const own = PARITY.rows.filter(({ architecture }) => architecture === modelType);
    const difference = Math.max(...own.map((row) => row.difference));
    return [`\`${modelType}\``, `\`${className}\``, models, difference.toExponential(1)];
  });
  return table(['`model_type`', 'class', 'models', 'max \\|Δlogit\\|'], rows);
}

function parityRun() {
  const { positions, tolerance, machine, commit } = PARITY;
  return `${positions} tokens at once and one at a time, split at every layer, f32; ${tolerance.toExponential(0)} is allowed. ${machine}, commit \`${commit}\`.`;
}

function formatTable() {
  const rows = FORMATS.rows.map(({ backend, format, bytes, stepMs, manyRowsMs, agreement }) => [
    backend,
    format,
    `${(bytes / 1e6).toFixed(1)} MB`,
    stepMs.toFixed(2),
    manyRowsMs.toFixed(1),
    `${(100 * agreement).toFixed(2)} %`,
  ]);
  return table(['backend', 'format', 'size', 'one token, ms', '64 tokens, ms', 'same choice as f32'], rows);
}

function formatsRun() {
  const { tokens, seed, machine, commit } = FORMATS;
  return `The embedded model, all stages, one thread, the fastest of many runs; ${tokens.toLocaleString('en')} told tokens, seed ${seed}. ${machine}, commit \`${commit}\`.`;
}

function reportTable() {
  const { exits, thresholds, settledPerRound, breakEvenRttMs, profile, verdict, text } = REPORT;
  const measured = DECODE.breakEven[`virtual ${profile.name}`].exact;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const rows = [
    ...exits.map(({ layer, agreement }) => [`agreement, exit after layer ${layer}`, percent(agreement)]),
    ...['0.01', '0.05'].map((epsilon) => [
      `settled on the device at ε = ${percent(Number(epsilon))} (disagreement measured)`,
      `${percent(thresholds.settled[epsilon])} (${(100 * thresholds.disagreement[epsilon]).toFixed(2)} %)`,
    ]),
    ['settled tokens per round at 4, 6, 8 drafts', [4, 6, 8].map((k) => settledPerRound[k].toFixed(2)).join(', ')],
    [`break-even of exact mode, profile \`${profile.name}\`, predicted`, `${breakEvenRttMs.exact} ms`],
    ['the same, measured by `bench decode` in virtual time', `${measured.rttMs} ms`],
    ['text', `${text.tokens.toLocaleString('en')} tokens ${text.name}`],
    ['verdict', verdict],
  ];
  return table(['', ''], rows);
}

function resultOf(name) {
  return JSON.parse(readFileSync(new URL(`../benchmarks/${name}.json`, import.meta.url), 'utf8'));
}
