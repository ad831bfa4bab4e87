import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type GaugeName, METRICS, type MetricName } from './metric-table.js';
import type { GaugeReadings, Metrics } from './metrics.js';

export interface PrometheusMetrics extends Metrics {
  /** What `/metrics` answers. */
  expose(): Promise<{ contentType: string; text: string }>;
}

/**
 * The metrics of one server, in a registry of their own; the only door to prom-client.
 * `readGauges` is asked at every scrape, so that nothing has to be kept up to date between two.
 */
export function createPrometheusMetrics(readGauges: () => GaugeReadings): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<GaugeName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  for (const [name, row] of Object.entries(METRICS) as [MetricName, (typeof METRICS)[MetricName]][]) {
    const labelNames = 'label' in row ? [row.label] : [];
    const shared = { name, help: row.help, labelNames, registers: [registry] };
    if (row.kind === 'counter') counters.set(name, new Counter(shared));
    else if (row.kind === 'gauge') gauges.set(name as GaugeName, new Gauge(shared));
    else histograms.set(name, new Histogram({ ...shared, buckets: [...row.buckets] }));
  }
  const labels = (name: MetricName, value: string | undefined): Record<string, string> => {
    const row = METRICS[name];
    return 'label' in row ? { [row.label]: value ?? '' } : {};
  };
  return {
    count: (name, amount = 1, label) => counters.get(name)!.inc(labels(name, label), amount),
    observe: (name, value, label) => histograms.get(name)!.observe(labels(name, label), value),
    async expose() {
      for (const [name, reading] of Object.entries(readGauges()) as [GaugeName, number | Record<string, number>][]) {
        const gauge = gauges.get(name)!;
        if (typeof reading === 'number') gauge.set(reading);
        else for (const [label, value] of Object.entries(reading)) gauge.set(labels(name, label), value);
      }
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
