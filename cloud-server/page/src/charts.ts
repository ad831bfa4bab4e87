import type UPlot from 'uplot';
import type { ColumnName } from '../../src/dashboard/live-figures.js';
import { bytes, count, type Formatter, ms, rate } from './format.js';
import type { History } from './history.js';

/** The script before this one; the page's only library. */
declare const uPlot: typeof UPlot;

interface Line {
  column: ColumnName;
  label: string;
  color: 'teal' | 'blue' | 'violet' | 'amber' | 'red' | 'muted';
}

interface Chart {
  title: string;
  hint: string;
  /** Areas on top of each other, for parts of a whole. */
  isStacked?: boolean;
  format: Formatter;
  lines: Line[];
}

const CHARTS: readonly Chart[] = [
  {
    title: 'Sessions',
    hint: 'connected, and waiting to be resumed',
    format: count,
    lines: [
      { column: 'connected', label: 'connected', color: 'teal' },
      { column: 'detached', label: 'waiting', color: 'muted' },
    ],
  },
  {
    title: 'Tokens decided',
    hint: 'a second, by origin',
    isStacked: true,
    format: rate,
    lines: [
      { column: 'confirmedPerS', label: 'confirmed drafts', color: 'teal' },
      { column: 'correctedPerS', label: 'corrected', color: 'amber' },
      { column: 'askedPerS', label: 'asked', color: 'blue' },
      { column: 'extendedPerS', label: 'cloud-only', color: 'violet' },
      { column: 'passagePerS', label: 'larger model', color: 'red' },
    ],
  },
  {
    title: 'Queue wait',
    hint: 'of interactive steps: what users feel',
    format: ms,
    lines: [
      { column: 'queueP50Ms', label: 'median', color: 'teal' },
      { column: 'queueP99Ms', label: 'p99', color: 'amber' },
    ],
  },
  {
    title: 'Engine step',
    hint: 'time in the engine, interactive',
    format: ms,
    lines: [
      { column: 'stepP50Ms', label: 'median', color: 'blue' },
      { column: 'stepP99Ms', label: 'p99', color: 'violet' },
    ],
  },
  {
    title: 'Context memory',
    hint: 'KV caches, and received rows',
    isStacked: true,
    format: bytes,
    lines: [
      { column: 'rowBytes', label: 'rows', color: 'blue' },
      { column: 'hotBytes', label: 'KV (hot)', color: 'teal' },
    ],
  },
  {
    title: 'Steps',
    hint: 'a second, by kind; runs that they shared; steps that wait',
    format: rate,
    lines: [
      // Below the others: where nobody shares a run it is the line of the steps.
      { column: 'runsPerS', label: 'runs', color: 'violet' },
      { column: 'interactivePerS', label: 'interactive', color: 'teal' },
      { column: 'prefillPerS', label: 'prefill', color: 'blue' },
      { column: 'waitingSteps', label: 'waiting', color: 'amber' },
    ],
  },
  {
    title: 'Engines',
    hint: 'available; restarts since the server began',
    format: count,
    lines: [
      { column: 'enginesAvailable', label: 'available', color: 'teal' },
      { column: 'enginesAway', label: 'away', color: 'amber' },
      { column: 'engineRestarts', label: 'restarts', color: 'red' },
    ],
  },
  {
    title: 'Network',
    hint: 'a second: payload received, frames sent',
    format: bytes,
    lines: [
      { column: 'receivedBytesPerS', label: 'received', color: 'violet' },
      { column: 'sentBytesPerS', label: 'sent', color: 'blue' },
    ],
  },
];

const HEIGHT_PX = 190;

export interface Charts {
  draw(history: History, spanS: number): void;
  /** The colours have changed. */
  restyle(): void;
}

export function showCharts(list: HTMLElement): Charts {
  const shown = CHARTS.map((chart) => {
    const figure = document.createElement('figure');
    figure.className = 'chart';
    const head = document.createElement('header');
    const [title, hint] = [document.createElement('h2'), document.createElement('p')];
    title.textContent = chart.title;
    hint.className = 'hint';
    hint.textContent = chart.hint;
    head.append(title, hint);
    const place = document.createElement('div');
    place.className = 'plot';
    figure.append(head, place);
    list.append(figure);
    return { chart, place };
  });
  let plots = shown.map(({ chart, place }) => createPlot(chart, place));
  let last: [History, number] | undefined;
  const charts: Charts = {
    draw(history, spanS) {
      last = [history, spanS];
      for (const plot of plots) plot.draw(history, spanS);
    },
    restyle() {
      for (const plot of plots) plot.remove();
      plots = shown.map(({ chart, place }) => createPlot(chart, place));
      if (last) charts.draw(...last);
    },
  };
  new ResizeObserver(() => {
    for (const plot of plots) plot.resize();
  }).observe(list);
  return charts;
}

function createPlot(chart: Chart, place: HTMLElement) {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement('i');
  place.append(probe);
  /** `light-dark()` as the one colour that it is now: canvases know no other. */
  const color = (name: string) => {
    probe.style.color = style.getPropertyValue(`--${name}`);
    return getComputedStyle(probe).color;
  };
  /** What the legend tells: the values themselves, not their sums. */
  let values: (number | null)[][] = [];
  const axis = { stroke: color('muted'), grid: { stroke: color('grid'), width: 1 }, ticks: { show: false } };
  const plot = new uPlot(
    {
      width: Math.max(1, place.clientWidth),
      height: HEIGHT_PX,
      cursor: { sync: { key: 'tandem' }, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { y: { range: (_plot, _least, most) => [0, most > 0 ? most * 1.12 : 1] } },
      axes: [
        { ...axis, space: 70, size: 32, values: (_plot, ticks) => ticks.map(timeOfDay) },
        { ...axis, size: 68, space: 36, ...ticksOf(chart.format), values: (_plot, ticks) => ticks.map(chart.format) },
      ],
      series: [
        {
          label: 'time',
          value: (_plot: UPlot, seconds: number | null) => (seconds === null ? '–' : timeOfDay(seconds)),
        },
        ...chart.lines.map((line, index) => ({
          label: line.label,
          stroke: color(line.color),
          // Areas have no outline: that of a part which is nothing would lie on the one below.
          width: chart.isStacked ? 0 : 2,
          points: { show: false },
          spanGaps: false,
          ...(chart.isStacked ? { fill: translucent(color(line.color)) } : {}),
          value: (_plot: UPlot, _sum: number | null, _series: number, at: number | null) =>
            chart.format(at === null ? undefined : values[index]?.[at]),
        })),
      ],
      bands: chart.isStacked ? chart.lines.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })) : [],
    },
    [[], ...chart.lines.map(() => [])],
    place,
  );
  probe.remove();
  return {
    draw(history: History, spanS: number) {
      const times = history.column('unixMs', spanS).map((value) => (value ?? 0) / 1_000);
      values = chart.lines.map(({ column }) => history.column(column, spanS));
      plot.setData([times, ...(chart.isStacked ? sums(values) : values)], false);
      const end = times.at(-1) ?? 0;
      plot.setScale('x', { min: end - spanS, max: end });
      // Without a hand on the chart the legend tells the newest values.
      if ((plot.cursor.left ?? -1) < 0 && times.length > 0) plot.setLegend({ idx: times.length - 1 }, false);
    },
    resize: () => plot.setSize({ width: Math.max(1, place.clientWidth), height: HEIGHT_PX }),
    remove: () => plot.destroy(),
  };
}

/** Whole numbers of things, powers of two of bytes: a tick is what it says. */
function ticksOf(format: Formatter): { incrs?: number[] } {
  if (format === count)
    return { incrs: [1, 2, 5].flatMap((step) => [1, 10, 100, 1e3, 1e4, 1e5].map((ten) => step * ten)).sort(ascending) };
  return format === bytes ? { incrs: Array.from({ length: 50 }, (_, power) => 2 ** power) } : {};
}

const ascending = (a: number, b: number) => a - b;

/** In the time zone of whoever looks. */
function timeOfDay(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB');
}

/** Each row added to those before it. */
function sums(rows: readonly (number | null)[][]): number[][] {
  let below: number[] = [];
  return rows.map((row) => {
    below = row.map((value, index) => (value ?? 0) + (below[index] ?? 0));
    return below;
  });
}

function translucent(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.6)');
}
