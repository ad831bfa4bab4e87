import type { CounterName, GaugeName, HistogramName } from './metric-table.js';

/** Where the parts of the server tell what they do. `label`: the value of the metric's one label, if it has one. */
export interface Metrics {
  count(name: CounterName, amount?: number, label?: string): void;
  observe(name: HistogramName, value: number, label?: string): void;
}

/** Values of the gauges at this moment; a record for those with a label. */
export type GaugeReadings = Partial<Record<GaugeName, number | Readonly<Record<string, number>>>>;

/** For hosts that nobody looks at: simulations, most tests. */
export const NO_METRICS: Metrics = { count() {}, observe() {} };
