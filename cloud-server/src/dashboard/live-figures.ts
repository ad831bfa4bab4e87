import { type Clock, limits, unixMilliseconds } from '@tandem/shared';
import type { CounterName, HistogramName } from '../metrics/metric-table.js';
import type { GaugeReadings, Metrics } from '../metrics/metrics.js';
import { LogHistogram } from './log-histogram.js';

/** Everything that the live page draws: one number a second, or null where there was nothing to measure. */
export const COLUMNS = [
  'unixMs',
  'connected',
  'detached',
  'sockets',
  'waitingSteps',
  'enginesAvailable',
  'enginesAway',
  'hotBytes',
  'rowBytes',
  'confirmedPerS',
  'correctedPerS',
  'askedPerS',
  'extendedPerS',
  'passagePerS',
  'interactivePerS',
  'prefillPerS',
  'runsPerS',
  'stepP50Ms',
  'stepP99Ms',
  'queueP50Ms',
  'queueP99Ms',
  'receivedBytesPerS',
  'sentBytesPerS',
  'engineRestarts',
  'refusals',
  'rebuilds',
  'evictions',
] as const;

export type ColumnName = (typeof COLUMNS)[number];
export type Columns = Record<ColumnName, (number | null)[]>;

export interface LiveHistory {
  /** When this server began: another number means that another process answers now. */
  startedUnixMs: number;
  /** Number of the first sample of `columns` since the server began; the next question asks for what follows the last. */
  first: number;
  /** Between two samples. */
  intervalMs: number;
  budgetBytes: number;
  columns: Columns;
}

/**
 * The last ten minutes of a server, kept so that a page that is opened now shows what happened before. Counts what the
 * metrics count; engine restarts, refusals, rebuilds and evictions are totals, whatever else counts is per second.
 */
export class LiveFigures implements Metrics {
  readonly #clock: Clock;
  readonly #readGauges: () => GaugeReadings;
  readonly #columns: Columns;
  readonly #startedUnixMs = unixMilliseconds();
  readonly #totals = new Map<string, number>();
  /** Totals of the last sample. */
  #before = new Map<string, number>();
  readonly #step = new LogHistogram();
  readonly #queue = new LogHistogram();
  /** Of the engines, since the last sample. */
  #runs = 0;
  #sampledAtMs: number;
  #samples = 0;
  #cancelSample = () => {};

  constructor(clock: Clock, readGauges: () => GaugeReadings) {
    this.#clock = clock;
    this.#readGauges = readGauges;
    this.#columns = Object.fromEntries(COLUMNS.map((name) => [name, []])) as unknown as Columns;
    this.#sampledAtMs = clock.now();
  }

  count(name: CounterName, amount = 1, label = ''): void {
    const key = label === '' ? name : `${name} ${label}`;
    this.#totals.set(key, (this.#totals.get(key) ?? 0) + amount);
  }

  /** Prompts take as long as they are long: of times only what somebody waits for is drawn. */
  observe(name: HistogramName, value: number, label?: string): void {
    if (name === 'tandem_step_sessions') this.#runs++;
    if (label !== 'interactive') return;
    if (name === 'tandem_step_seconds') this.#step.add(value);
    if (name === 'tandem_queue_wait_seconds') this.#queue.add(value);
  }

  /** What was sampled from sample number `from` on, as far as it is still kept. */
  since(from: number): LiveHistory {
    const kept = this.#columns.connected.length;
    const first = Math.min(this.#samples, Math.max(from, this.#samples - kept));
    const skip = first - (this.#samples - kept);
    const columns = Object.fromEntries(COLUMNS.map((name) => [name, this.#columns[name].slice(skip)]));
    const { tandem_context_budget_bytes: budget } = this.#readGauges();
    return {
      startedUnixMs: this.#startedUnixMs,
      first,
      intervalMs: limits.DASHBOARD_INTERVAL_MS,
      budgetBytes: budget as number,
      columns: columns as unknown as Columns,
    };
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#cancelSample();
  }

  #schedule(): void {
    this.#cancelSample = this.#clock.schedule(limits.DASHBOARD_INTERVAL_MS, () => {
      this.#sample();
      this.#schedule();
    });
  }

  #sample(): void {
    const nowMs = this.#clock.now();
    const sample = this.#read((nowMs - this.#sampledAtMs) / 1_000);
    this.#sampledAtMs = nowMs;
    this.#samples++;
    this.#before = new Map(this.#totals);
    this.#step.clear();
    this.#queue.clear();
    this.#runs = 0;
    for (const name of COLUMNS) {
      const column = this.#columns[name];
      column.push(sample[name]);
      if (column.length > limits.DASHBOARD_SAMPLES_MAX) column.shift();
    }
  }

  #read(seconds: number): Record<ColumnName, number | null> {
    const gauges = this.#readGauges();
    const gauge = (name: keyof GaugeReadings, label: string) =>
      (gauges[name] as Record<string, number> | undefined)?.[label] ?? 0;
    const rate = (key: string) => round(((this.#totals.get(key) ?? 0) - (this.#before.get(key) ?? 0)) / seconds);
    const sum = (name: CounterName, totals: ReadonlyMap<string, number> = this.#totals) =>
      [...totals].reduce((total, [key, value]) => total + (key.split(' ')[0] === name ? value : 0), 0);
    const sumRate = (name: CounterName) => round((sum(name) - sum(name, this.#before)) / seconds);
    const ms = (value: number | null) => (value === null ? null : round(value * 1_000));
    return {
      unixMs: unixMilliseconds(),
      connected: gauge('tandem_sessions', 'connected'),
      detached: gauge('tandem_sessions', 'detached'),
      sockets: gauges.tandem_connections as number,
      waitingSteps: gauges.tandem_queue_length as number,
      enginesAvailable: gauge('tandem_engines', 'available'),
      enginesAway: gauge('tandem_engines', 'unavailable'),
      hotBytes: gauge('tandem_context_bytes', 'hot'),
      rowBytes: gauge('tandem_context_bytes', 'rows'),
      confirmedPerS: rate('tandem_tokens_total confirmed'),
      correctedPerS: rate('tandem_tokens_total corrected'),
      askedPerS: rate('tandem_tokens_total asked'),
      extendedPerS: rate('tandem_tokens_total extended'),
      passagePerS: rate('tandem_tokens_total passage'),
      interactivePerS: rate('tandem_steps_total interactive'),
      prefillPerS: rate('tandem_steps_total prefill'),
      runsPerS: round(this.#runs / seconds),
      stepP50Ms: ms(this.#step.quantile(0.5)),
      stepP99Ms: ms(this.#step.quantile(0.99)),
      queueP50Ms: ms(this.#queue.quantile(0.5)),
      queueP99Ms: ms(this.#queue.quantile(0.99)),
      receivedBytesPerS: sumRate('tandem_received_bytes_total'),
      sentBytesPerS: sumRate('tandem_sent_bytes_total'),
      engineRestarts: sum('tandem_engine_restarts_total'),
      refusals: sum('tandem_refusals_total'),
      rebuilds: sum('tandem_context_rebuilds_total'),
      evictions: sum('tandem_context_evictions_total'),
    };
  }
}

/** Three digits are more than a line on a screen can show. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
