/** How the embedded model learnt: validation bits per character and agreement of its exits, over the tokens seen. */
import { readFileSync } from 'node:fs';
import * as Plot from '@observablehq/plot';
import { svg } from '@tandem/model-kit/plots';

const CURVE = new URL('../../models/tales/training-curve.csv', import.meta.url);
const LINES = [
  { column: 'valid_bpc', name: 'bits per character', colour: '#111111' },
  { column: 'exit4_agreement', name: 'agreement, exit after layer 4', colour: '#0b6e4f' },
  { column: 'exit2_agreement', name: 'agreement, exit after layer 2', colour: '#3d5a80' },
];

export function trainingPlot() {
  const [head, ...lines] = readFileSync(CURVE, 'utf8').trim().split(/\r?\n/);
  const columns = head.split(',');
  const rows = lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [columns[i], Number(cell)])));
  const points = LINES.flatMap(({ column, name }) =>
    rows.map((row) => ({ name, tokens: row.tokens / 1e6, value: row[column] })),
  );
  return svg({
    width: 820,
    height: 360,
    marginBottom: 46,
    x: { label: 'million tokens seen', labelAnchor: 'center', labelOffset: 40 },
    y: { label: null, grid: true, domain: [0.5, 1.3], clamp: true },
    color: { domain: LINES.map(({ name }) => name), range: LINES.map(({ colour }) => colour) },
    marks: [
      Plot.line(points, { x: 'tokens', y: 'value', z: 'name', stroke: 'name', strokeWidth: 2 }),
      ...LINES.map(({ name, column }) =>
        Plot.text([{ tokens: rows.at(-1).tokens / 1e6, value: rows.at(-1)[column] }], {
          x: 'tokens',
          y: 'value',
          text: () => name,
          textAnchor: 'end',
          dy: -9,
          fill: () => name,
        }),
      ),
    ],
  });
}
