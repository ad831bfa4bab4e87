import type { Clock } from '@tandem/shared';
import { LiveFigures } from '../dashboard/live-figures.js';
import type { GaugeReadings, Metrics } from './metrics.js';
import { createPrometheusMetrics, type PrometheusMetrics } from './prometheus.js';

/** One count, two readers: `/metrics` and the live page. */
export interface ServerMetrics extends PrometheusMetrics {
  readonly live: LiveFigures;
}

export function createServerMetrics(clock: Clock, readGauges: () => GaugeReadings): ServerMetrics {
  const prometheus = createPrometheusMetrics(readGauges);
  const live = new LiveFigures(clock, readGauges);
  const readers: readonly Metrics[] = [prometheus, live];
  return {
    live,
    expose: () => prometheus.expose(),
    count(name, amount, label) {
      for (const reader of readers) reader.count(name, amount, label);
    },
    observe(name, value, label) {
      for (const reader of readers) reader.observe(name, value, label);
    },
  };
}
