import type { EventStream } from '../events.js';
import type { Forward } from '../ledger/ledger-types.js';
import type { LinkMeter } from './link-meter.js';

/** What of the ledger it looks at. */
interface Text {
  promptLength: number;
  settled: number;
  cutLength: number;
  acked: number;
}

interface Debt {
  /** Ledger length that the server has to come to. */
  to: number;
  rows: number;
  bytes: number;
  predictedMs: number | undefined;
  startedMs: number;
}

/**
 * What it costs to take a server in again that lacks settled text: after a stretch without it, a restart, a restored
 * session. Told when the first forward goes up, and once more, with what it took, when the server has everything.
 */
export class CatchUp {
  readonly #events: EventStream;
  readonly #meter: LinkMeter;
  #isDue = false;
  #debt: Debt | undefined;

  constructor(events: EventStream, meter: LinkMeter) {
    this.#events = events;
    this.#meter = meter;
  }

  /** A new connection; what the server lacks is known with the first forward. */
  opened(): void {
    this.#isDue = true;
    this.#debt = undefined;
  }

  forward({ promptLength, settled, cutLength }: Text, { from, count, payload }: Forward, nowMs: number): void {
    if (this.#debt) this.#debt.bytes += payload.length;
    if (!this.#isDue || count === 0) return;
    this.#isDue = false;
    const to = Math.min(settled, cutLength);
    const rows = to - from;
    // A prompt alone is no debt, and the row of the last token always goes up.
    if (settled === promptLength || rows < 2) return;
    const bytes = Math.round((rows * payload.length) / count);
    const predictedMs = this.#meter.predictMs(rows, bytes);
    this.#debt = { to, rows, bytes: payload.length, predictedMs, startedMs: nowMs };
    this.#events.emit({ kind: 'catch-up', state: 'began', rows, bytes, predictedMs });
  }

  answered({ acked }: Text, nowMs: number): void {
    if (!this.#debt || acked < this.#debt.to) return;
    const { rows, bytes, predictedMs, startedMs } = this.#debt;
    this.#debt = undefined;
    this.#events.emit({ kind: 'catch-up', state: 'done', rows, bytes, predictedMs, elapsedMs: nowMs - startedMs });
  }
}
