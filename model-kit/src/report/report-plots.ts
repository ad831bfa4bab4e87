import * as Plot from '@observablehq/plot';
import { spreadLabels } from '../plots/spread-labels.js';
import { svg } from '../plots/svg.js';
import type { SuitabilityReport } from './suitability-report.js';

export interface ReportPlot {
  /** Also the id of its figure. */
  name: string;
  caption: string;
  svg: string;
}

const COLOURS = ['#0b6e4f', '#3d5a80', '#d1495b', '#c9a227', '#7b2d8b', '#8d99ae'];
const MODES = {
  exact: '#0b6e4f',
  collaborative: '#d1495b',
  'cloud-only': '#111111',
  'device-only': '#8d99ae',
} as const;
const SIZE = { width: 640, height: 300, marginTop: 30, marginBottom: 44 };

/** The plots of a report's page; those of exits are missing where there are none. */
export function reportPlots(report: SuitabilityReport): ReportPlot[] {
  const exits = report.exits.length > 0 ? [agreementPlot(report), leavingPlot(report), draftPlot(report)] : [];
  return [...exits, formatPlot(report), codecPlot(report), predictionPlot(report)];
}

function agreementPlot({ exits }: SuitabilityReport): ReportPlot {
  const bars = exits.map(({ layer, agreement }) => ({ exit: exitName(layer), percent: 100 * agreement }));
  return {
    name: 'agreement',
    caption: 'Agreement by exit: share of tokens on which it names the whole model’s choice',
    svg: svg({
      ...SIZE,
      height: 90 + 34 * bars.length,
      marginLeft: 110,
      marginRight: 50,
      x: { ...below('% of tokens'), domain: [0, 100], grid: true },
      y: { label: null, domain: bars.map(({ exit }) => exit) },
      marks: [
        Plot.barX(bars, { x: 'percent', y: 'exit', fill: COLOURS[0]! }),
        Plot.text(bars, {
          x: 'percent',
          y: 'exit',
          text: ({ percent }) => percent.toFixed(1),
          textAnchor: 'start',
          dx: 5,
        }),
        Plot.ruleX([0]),
      ],
    }),
  };
}

function leavingPlot({ exits, thresholds }: SuitabilityReport): ReportPlot {
  const bars = exits.flatMap(({ layer, leaving }) =>
    Object.entries(leaving).map(([epsilon, share]) => ({
      epsilon: `${100 * Number(epsilon)} %`,
      exit: exitName(layer),
      percent: 100 * share,
    })),
  );
  return {
    name: 'leaving',
    caption: `Share of tokens that leaves at each exit, by wished disagreement ε (${thresholds.policy}; thresholds: ${thresholds.source})`,
    svg: svg({
      ...SIZE,
      x: { ...below('disagreement ε'), domain: [...new Set(bars.map(({ epsilon }) => epsilon))] },
      y: { label: '↑ % of all tokens', domain: [0, 100], grid: true },
      color: { domain: exits.map(({ layer }) => exitName(layer)), range: COLOURS, legend: false },
      marks: [
        Plot.barY(bars, { x: 'epsilon', y: 'percent', fill: 'exit' }),
        Plot.text(
          bars,
          Plot.groupX(
            { y: 'sum', text: (shares: number[]) => shares.reduce((sum, share) => sum + share, 0).toFixed(0) },
            { x: 'epsilon', y: 'percent', text: 'percent', dy: -7 },
          ),
        ),
        Plot.ruleY([0]),
        ...legend(exits.map(({ layer }) => exitName(layer))),
      ],
    }),
  };
}

function draftPlot({ exits }: SuitabilityReport): ReportPlot {
  const points = exits.flatMap(({ layer, settledPerRound }) =>
    Object.entries(settledPerRound).map(([drafts, settled]) => ({
      exit: exitName(layer),
      drafts: Number(drafts),
      settled,
    })),
  );
  return {
    name: 'drafts',
    caption: 'Settled tokens per round by draft length: right drafts and the cloud’s own token',
    svg: linePlot(points, {
      x: 'drafts',
      y: 'settled',
      z: 'exit',
      xLabel: 'drafts per round',
      yLabel: '↑ settled tokens per round',
      colours: Object.fromEntries(exits.map(({ layer }, i) => [exitName(layer), COLOURS[i % COLOURS.length]!])),
    }),
  };
}

function formatPlot({ formats }: SuitabilityReport): ReportPlot {
  const bars = formats.map(({ format, agreement, perplexity, bytes }) => ({
    format,
    megabytes: bytes / 1e6,
    label: `${(100 * agreement).toFixed(2)} % same choice, perplexity ${perplexity.toFixed(3)}`,
  }));
  const largest = Math.max(...bars.map(({ megabytes }) => megabytes));
  return {
    name: 'formats',
    caption: `Weight formats: size of all stages; agreement with ${formats[0]!.format} and perplexity beside it`,
    svg: svg({
      ...SIZE,
      height: 90 + 34 * bars.length,
      marginLeft: 60,
      x: { ...below('MB'), domain: [0, largest * 1.9], grid: true },
      y: { label: null, domain: bars.map(({ format }) => format) },
      marks: [
        Plot.barX(bars, { x: 'megabytes', y: 'format', fill: COLOURS[1]! }),
        Plot.text(bars, { x: 'megabytes', y: 'format', text: 'label', textAnchor: 'start', dx: 5 }),
        Plot.ruleX([0]),
      ],
    }),
  };
}

function codecPlot({ codecs }: SuitabilityReport): ReportPlot {
  const bars = codecs.map(({ codec, bytesPerRow, agreement }) => ({
    codec,
    bytesPerRow,
    label: `${bytesPerRow} bytes, ${(100 * agreement).toFixed(2)} % same choice`,
  }));
  const largest = Math.max(...bars.map(({ bytesPerRow }) => bytesPerRow));
  return {
    name: 'codecs',
    caption: 'Bytes per row by codec, and how often the whole model still makes the same choice behind it',
    svg: svg({
      ...SIZE,
      height: 90 + 26 * bars.length,
      marginLeft: 70,
      x: { ...below('bytes per row'), domain: [0, largest * 1.8], grid: true },
      y: { label: null, domain: bars.map(({ codec }) => codec) },
      marks: [
        Plot.barX(bars, { x: 'bytesPerRow', y: 'codec', fill: COLOURS[3]! }),
        Plot.text(bars, { x: 'bytesPerRow', y: 'codec', text: 'label', textAnchor: 'start', dx: 5 }),
        Plot.ruleX([0]),
      ],
    }),
  };
}

function predictionPlot({ predicted, profile, breakEvenRttMs }: SuitabilityReport): ReportPlot {
  const modes = Object.keys(MODES) as (keyof typeof MODES)[];
  const points = predicted.flatMap(({ rttMs, msPerToken }) =>
    modes.map((mode) => ({ mode, rttMs, ms: msPerToken[mode] })),
  );
  const longest = predicted.at(-1)!.rttMs;
  const breakEven = [breakEvenRttMs.exact].filter((rttMs) => rttMs > 0 && rttMs <= longest);
  return {
    name: 'prediction',
    caption: `Milliseconds per token by round trip, predicted (${profile.name}); exact and collaborative pay where they lie below cloud-only`,
    svg: linePlot(points, {
      x: 'rttMs',
      y: 'ms',
      z: 'mode',
      xLabel: 'round trip, ms',
      yLabel: '↑ ms per token',
      colours: MODES,
      marks: [
        Plot.ruleX(breakEven, { stroke: MODES.exact, strokeDasharray: '4 3' }),
        Plot.text(breakEven, {
          x: (rttMs) => rttMs,
          text: (rttMs) => `${rttMs} ms`,
          frameAnchor: 'top',
          dx: 22,
          dy: 2,
        }),
      ],
    }),
  };
}

interface LineOptions<Point> {
  x: keyof Point & string;
  y: keyof Point & string;
  z: keyof Point & string;
  xLabel: string;
  yLabel: string;
  colours: Readonly<Record<string, string>>;
  marks?: Plot.Markish[];
}

/** A line per `z`, named at its end. */
function linePlot<Point extends object>(points: readonly Point[], options: LineOptions<Point>): string {
  const { x, y, z, xLabel, yLabel, colours, marks = [] } = options;
  const numberOf = (point: Point, channel: keyof Point) => Number(point[channel]);
  const right = Math.max(...points.map((point) => numberOf(point, x)));
  const highest = Math.max(...points.map((point) => numberOf(point, y)));
  const ends = spreadLabels(
    points.filter((point) => numberOf(point, x) === right),
    (point) => numberOf(point, y),
    highest / 16,
  );
  return svg({
    ...SIZE,
    marginRight: 110,
    x: below(xLabel),
    y: { label: yLabel, grid: true, zero: true },
    color: { domain: Object.keys(colours), range: Object.values(colours) },
    marks: [
      Plot.ruleY([0]),
      ...marks,
      Plot.line(points, { x, y, z, stroke: z, strokeWidth: 2 }),
      Plot.dot(points, { x, y, fill: z, r: 2.5 }),
      Plot.text(ends, { x, y: 'labelAt', text: z, fill: z, textAnchor: 'start', dx: 8 }),
    ],
  });
}

/** Names in their colours, in the corner where there is room. */
function legend(names: readonly string[]): Plot.Markish[] {
  return names.map((name, row) =>
    Plot.text([name], {
      frameAnchor: 'top-left',
      dx: 6,
      dy: 4 + 15 * row,
      text: [name],
      fill: COLOURS[row]!,
      fontWeight: 'bold',
    }),
  );
}

function below(label: string): Plot.ScaleOptions {
  return { label, labelAnchor: 'center', labelOffset: 38 };
}

function exitName(layer: number): string {
  return `after layer ${layer}`;
}
