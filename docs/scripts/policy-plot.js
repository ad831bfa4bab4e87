/** The plot of policies.md. */
import * as Plot from '@observablehq/plot';
import { spreadLabels, svg } from '@tandem/model-kit/plots';
import { POLICIES } from './policy-tables.js';

/** Below this nobody would want to read on; the curves go on to the exits' own agreement. */
const DISAGREEMENT_MAX = 0.06;

/** Most curves end in one corner: their labels stand in a column, with a line to where they belong. */
const CROWDED_FROM = 60;
const LABELS_AT = 77;

/** Disagreement against the share settled on the device, a line per policy, points where thresholds were calibrated elsewhere. */
export function policyPlot() {
  const points = POLICIES.rows
    .flatMap(({ policy, points }) => points.map((point) => ({ policy, ...point })))
    .map((point) => ({ ...point, settled: 100 * point.settled, disagreement: 100 * (1 - point.agreement) }))
    .filter(({ agreement }) => 1 - agreement <= DISAGREEMENT_MAX);
  const isCalibrated = ({ policy }) => policy.startsWith('calibrated');
  const swept = points.filter((point) => !isCalibrated(point)).sort((a, b) => a.settled - b.settled);
  const calibrated = points.filter((point) => isCalibrated(point) && point.settled > 0);
  const ends = lastOf([...swept, ...calibrated]);
  const alone = spread(ends.filter(({ settled }) => settled < CROWDED_FROM));
  const crowd = spread(ends.filter(({ settled }) => settled >= CROWDED_FROM));
  const label = { y: 'labelAt', text: 'policy', fill: 'policy', textAnchor: 'start', dx: 6 };
  const oracle = 100 * POLICIES.oracle.settled;
  return svg({
    width: 880,
    height: 480,
    marginTop: 34,
    marginLeft: 48,
    marginRight: 70,
    marginBottom: 46,
    x: { label: '% of tokens settled on the device', labelAnchor: 'center', labelOffset: 40, domain: [0, 100] },
    y: {
      label: '↑ % of tokens that agree with the whole model',
      grid: true,
      domain: [100 - 100 * DISAGREEMENT_MAX, 100],
    },
    color: { legend: false, scheme: 'tableau10' },
    symbol: { legend: false },
    marks: [
      Plot.line(swept, {
        x: 'settled',
        y: (point) => 100 - point.disagreement,
        z: 'policy',
        stroke: 'policy',
        strokeWidth: 1.5,
      }),
      Plot.dot(calibrated, {
        x: 'settled',
        y: (point) => 100 - point.disagreement,
        stroke: 'policy',
        symbol: 'policy',
        r: 5,
      }),
      Plot.link(crowd, {
        x1: 'settled',
        y1: (point) => 100 - point.disagreement,
        x2: LABELS_AT,
        y2: 'labelAt',
        stroke: 'policy',
        strokeOpacity: 0.5,
        strokeWidth: 0.75,
      }),
      Plot.text(crowd, { ...label, x: LABELS_AT }),
      Plot.text(alone, { ...label, x: 'settled' }),
      Plot.dot([[oracle, 100]], { r: 6, fill: 'black' }),
      Plot.text([[oracle, 100]], { text: () => 'oracle', textAnchor: 'start', dx: 10 }),
    ],
  });
}

/** Each with a place for its label. */
function spread(ends) {
  return spreadLabels(ends, ({ disagreement }) => 100 - disagreement, 0.24);
}

function lastOf(points) {
  return [...new Map(points.map((point) => [point.policy, point])).values()];
}
