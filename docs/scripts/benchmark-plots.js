/** The plots of benchmarks.md and policies.md as SVG, from the same results as their tables. */
import * as Plot from '@observablehq/plot';
import { spreadLabels, svg } from '@tandem/model-kit/plots';
import { CODEC, DECODE, MODES, PLACES, placeOf, RTTS_MS } from './benchmark-tables.js';
import { policyPlot } from './policy-plot.js';
import { reportPicture } from './report-picture.js';
import { trainingPlot } from './training-plot.js';

/** Ours in strong colours; what they are held against dashed or grey. */
const COLOURS = {
  exact: '#0b6e4f',
  collaborative: '#d1495b',
  'device-only': '#8d99ae',
  'cloud-only': '#111111',
  'co-located': '#3d5a80',
  'split-f16': '#c9a227',
  'ce-collm': '#7b2d8b',
};

/** File name beside the results → SVG. */
export function plots() {
  const files = {
    'codecs.svg': codecPlot(),
    'policies.svg': policyPlot(),
    'tales-training.svg': trainingPlot(),
    '../images/report.svg': reportPicture(),
  };
  for (const place of PLACES) {
    const rows = DECODE.rows.filter((row) => placeOf(row) === place);
    const name = place.replace(/\W+/g, '-');
    files[`speed-${name}.svg`] = speedPlot(rows);
    files[`cloud-time-${name}.svg`] = cloudTimePlot(rows);
  }
  return files;
}

/** Tokens per second against the round trip, a line per mode. */
function speedPlot(rows) {
  return svg({
    width: 820,
    height: 420,
    marginRight: 110,
    marginBottom: 46,
    x: {
      label: 'round trip, ms',
      labelAnchor: 'center',
      labelOffset: 40,
      ticks: RTTS_MS,
      tickFormat: (rttMs) => String(rttMs),
    },
    y: { label: '↑ tokens per second', grid: true, zero: true },
    color: { domain: MODES, range: MODES.map((mode) => COLOURS[mode]) },
    marks: [
      Plot.ruleY([0]),
      Plot.line(rows, {
        x: 'rttMs',
        y: 'tokensPerS',
        z: 'mode',
        stroke: 'mode',
        strokeWidth: ({ mode }) => (mode === 'exact' || mode === 'collaborative' ? 3 : 1.5),
      }),
      Plot.dot(rows, { x: 'rttMs', y: 'tokensPerS', fill: 'mode', r: 3 }),
      Plot.text(spread(rows.filter(({ rttMs }) => rttMs === RTTS_MS.at(-1))), {
        x: 'rttMs',
        y: 'labelAt',
        text: 'mode',
        fill: 'mode',
        textAnchor: 'start',
        dx: 8,
      }),
    ],
  });
}

/** Labels at the end of lines, moved apart where lines end together. */
function spread(rows) {
  const highest = Math.max(...DECODE.rows.map(({ tokensPerS }) => tokensPerS));
  const own = Math.max(...rows.map(({ tokensPerS }) => tokensPerS), highest / 100);
  return spreadLabels(rows, ({ tokensPerS }) => tokensPerS, own / 26);
}

/** The cloud's engine time per token, a group of bars per link. */
function cloudTimePlot(rows) {
  const shown = rows.filter(({ mode }) => mode !== 'device-only');
  return svg({
    width: 820,
    height: 300,
    marginLeft: 90,
    marginBottom: 46,
    x: { label: 'cloud engine ms per token', labelAnchor: 'center', labelOffset: 40, grid: true },
    y: { label: null, domain: MODES.filter((mode) => mode !== 'device-only') },
    color: { domain: MODES, range: MODES.map((mode) => COLOURS[mode]) },
    marks: [
      Plot.barX(shown, Plot.groupY({ x: 'mean' }, { x: 'cloudMsPerToken', y: 'mode', fill: 'mode' })),
      Plot.tickX(shown, { x: 'cloudMsPerToken', y: 'mode', stroke: 'white' }),
      Plot.ruleX([0]),
    ],
  });
}

/** What a codec changes against what it costs; lower and further left is better. */
function codecPlot() {
  const f16Bytes = CODEC.rows.find(({ codec }) => codec === 'f16').bytesPerRow;
  const shown = CODEC.rows
    .filter(({ codec }) => codec !== 'token-ids')
    .map((row) => ({ ...row, ofF16: row.bytesPerRow / f16Bytes, percent: 100 * row.flips }));
  return svg({
    width: 820,
    height: 340,
    marginTop: 34,
    marginRight: 60,
    marginBottom: 46,
    x: { label: 'bytes per row, of f16', labelAnchor: 'center', labelOffset: 40, zero: true },
    y: { label: '↑ % of positions whose likeliest token changes', grid: true, zero: true },
    marks: [
      Plot.ruleY([0]),
      Plot.dot(shown, { x: 'ofF16', y: 'percent', r: 4, fill: COLOURS.exact }),
      // Neighbours on different sides: two of them lie close together.
      ...[0, 1].map((side) => {
        const own = shown.filter((_, index) => index % 2 === side);
        const place = side === 0 ? { textAnchor: 'end', dx: -8 } : { textAnchor: 'start', dx: 8 };
        return Plot.text(own, { x: 'ofF16', y: 'percent', text: 'codec', dy: -6, ...place });
      }),
    ],
  });
}
