/**
 * Every metric of the server: docs/operations.md repeats this table, and a test holds both together. Labels have few
 * values, all of them the server's own words: nothing that a client sends becomes a label.
 */
interface MetricRow {
  kind: 'counter' | 'gauge' | 'histogram';
  /** At most one label. */
  label?: string;
  help: string;
  /** Upper bounds of a histogram. */
  buckets?: readonly number[];
}

/** 0.5 ms to 16 s: a step of the smallest model to the longest prefill in a queue. */
const SECONDS = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16];
const ROWS = [1, 2, 4, 8, 16, 32, 64];

export const METRICS = {
  tandem_sessions: { kind: 'gauge', label: 'state', help: 'Sessions: connected, or detached and waiting.' },
  tandem_connections: { kind: 'gauge', help: 'Open WebSockets.' },
  tandem_queue_length: { kind: 'gauge', help: 'Steps that wait for an engine.' },
  tandem_engines: { kind: 'gauge', label: 'state', help: 'Engine processes: available or not.' },
  tandem_context_bytes: { kind: 'gauge', label: 'state', help: 'Context held: KV (hot) and received rows (rows).' },
  tandem_context_budget_bytes: { kind: 'gauge', help: 'What the context of all sessions may take.' },
  tandem_device_held_bytes: {
    kind: 'gauge',
    help: 'KV that the GPU held when it was tried out at load; 0 where keys and values are not kept there.',
  },
  tandem_device_refusals_total: {
    kind: 'counter',
    help: 'Steps that a GPU had no memory for; tried once more after other contexts gave way.',
  },
  tandem_steps_total: { kind: 'counter', label: 'kind', help: 'Engine steps: interactive, prefill.' },
  tandem_step_rows: { kind: 'histogram', label: 'kind', help: 'Rows of one step.', buckets: ROWS },
  tandem_step_sessions: {
    kind: 'histogram',
    help: 'Sessions whose steps ran as one: the batch size.',
    buckets: [1, 2, 3, 4, 6, 8, 12, 16],
  },
  tandem_step_seconds: {
    kind: 'histogram',
    label: 'kind',
    help: 'Time in the engine of one run: of a step, or of several together.',
    buckets: SECONDS,
  },
  tandem_queue_wait_seconds: {
    kind: 'histogram',
    label: 'kind',
    help: 'From hand-in of a step to its start.',
    buckets: SECONDS,
  },
  tandem_cancelled_steps_total: { kind: 'counter', help: 'Steps that nobody waited for any more, and that never ran.' },
  tandem_first_verdict_seconds: {
    kind: 'histogram',
    help: 'From the first forward of a session to its first verdict: the time to first token, the network apart.',
    buckets: SECONDS,
  },
  tandem_tokens_total: {
    kind: 'counter',
    label: 'origin',
    help: 'Tokens decided here: confirmed drafts, corrected drafts, asked (no draft), extended (cloud-only), passage (larger model).',
  },
  tandem_received_bytes_total: { kind: 'counter', label: 'codec', help: 'Payload received, by codec; tokens for ids.' },
  tandem_sent_bytes_total: { kind: 'counter', help: 'Frames sent.' },
  tandem_rewinds_total: { kind: 'counter', help: 'Clients asked to send rows again.' },
  tandem_context_rebuilds_total: { kind: 'counter', help: 'KV caches computed again from received rows.' },
  tandem_context_rebuilt_rows_total: { kind: 'counter', help: 'Rows computed again for that.' },
  tandem_context_evictions_total: {
    kind: 'counter',
    label: 'to',
    help: 'Contexts reduced to their rows, or dropped (nothing).',
  },
  tandem_prefix_lookups_total: { kind: 'counter', label: 'result', help: 'Shared prefixes asked for: hit, miss.' },
  tandem_prefix_rows_total: { kind: 'counter', help: 'Rows that a shared prefix saved from being sent.' },
  tandem_passages_total: {
    kind: 'counter',
    label: 'outcome',
    help: 'Passages asked of the larger model: finished, closed (nobody waited), or why it failed.',
  },
  tandem_passage_seconds: {
    kind: 'histogram',
    help: 'From asking the larger model to its last word.',
    buckets: SECONDS,
  },
  tandem_passages_writing: { kind: 'gauge', help: 'Passages that the larger model writes at this moment.' },
  tandem_larger_model_left_alone: {
    kind: 'gauge',
    help: '1 while the larger model is not asked, after failures in a row; else 0.',
  },
  tandem_refusals_total: { kind: 'counter', label: 'code', help: 'Connections refused or closed, by error code.' },
  tandem_engine_restarts_total: { kind: 'counter', help: 'Engine processes that ended and were started again.' },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;
type NameOf<Kind extends MetricRow['kind']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];
export type CounterName = NameOf<'counter'>;
export type GaugeName = NameOf<'gauge'>;
export type HistogramName = NameOf<'histogram'>;
