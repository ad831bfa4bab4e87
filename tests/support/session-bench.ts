import {
  ContextCache,
  createSessionHost,
  type Log,
  type Metrics,
  Scheduler,
  type SessionHost,
  type SessionTableOptions,
  type TenantLimits,
  TenantQuotas,
} from '@tandem/cloud';
import type { Messages } from '@tandem/shared';
import { choiceOf, packRows, rowsOf, statesOf } from '../property/hash-model.js';
import { HASH_INFO, MortalEngine } from './hash-engine.js';
import { ManualClock } from './manual-clock.js';
import { type MemoryPipe, memoryPipe, quiet, WireClient } from './wire-client.js';

export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A text of the hash model, as long as any test needs. */
export const STORY = Array.from({ length: 256 }, (_, index) => (index * 7 + 3) % 50);
const ROWS = rowsOf(STORY);
const STATES = statesOf(ROWS);

/** What the whole model chooses after row `row` of STORY. */
export function truth(row: number): number {
  return choiceOf(STATES[row]!);
}

/** Rows `[from, to)` of STORY as payload. */
export function payload(from: number, to: number): Uint8Array {
  return packRows(ROWS.slice(from, to));
}

/** Sends rows `[from, to)` of STORY. */
export function forward(
  client: WireClient,
  epoch: number,
  from: number,
  to: number,
  asked: Partial<Messages['context-forward']> = {},
): void {
  client.send('context-forward', { epoch, from, count: to - from, want: [], drafts: [], ...asked }, payload(from, to));
}

export const DECLARATION: Messages['session-open'] = {
  model: HASH_INFO.model,
  format: HASH_INFO.format,
  context: 'rows',
  codec: 'f32',
  capacity: 100,
  epoch: 0,
};

/** A session host on a hash engine, under a clock that the test moves. */
export class SessionBench {
  readonly clock = new ManualClock();
  readonly source = new MortalEngine();
  readonly host: SessionHost;
  readonly eosTokenIds: number[] = [];

  /** Counters by name, and label where there is one. */
  readonly counted: Record<string, number> = {};
  readonly cache: ContextCache;

  constructor(
    options: {
      sessionsMax?: number;
      resumeWindowMs?: number;
      eosTokenIds?: number[];
      contextBudgetBytes?: number;
      kvBytesPerPosition?: number;
      positionsMax?: number;
      tenantLimits?: TenantLimits;
      drawResumeToken?: () => string;
      largerModel?: SessionTableOptions['largerModel'];
      tracing?: NonNullable<SessionTableOptions['tracing']>;
    } = {},
  ) {
    const metrics: Metrics = {
      count: (name, amount = 1, label) => {
        const key = label === undefined ? name : `${name} ${label}`;
        this.counted[key] = (this.counted[key] ?? 0) + amount;
      },
      observe: () => {},
    };
    this.cache = new ContextCache(options.contextBudgetBytes ?? Number.POSITIVE_INFINITY, metrics);
    this.host = createSessionHost({
      scheduler: new Scheduler(this.source, this.clock, metrics),
      cache: this.cache,
      largerModel: options.largerModel,
      ...(options.tracing ? { tracing: options.tracing } : {}),
      quotas: new TenantQuotas(options.tenantLimits ?? {}, this.clock),
      ...(options.drawResumeToken ? { drawResumeToken: options.drawResumeToken } : {}),
      kvBytesPerPosition: () => options.kvBytesPerPosition ?? 0,
      positionsMax: options.positionsMax,
      metrics,
      eosTokenIds: options.eosTokenIds ?? [],
      sessionsMax: options.sessionsMax ?? 10,
      resumeWindowMs: options.resumeWindowMs ?? 1_000,
      clock: this.clock,
      log: SILENT,
    });
  }

  get engine() {
    return this.source.engine;
  }

  connect(sessionId = 'session-of-tests-1', owner = 'me'): { client: WireClient; pipe: MemoryPipe } {
    const pipe = memoryPipe(this.host, { sessionId, owner });
    return { client: new WireClient(pipe.connect), pipe };
  }

  /** Connects and opens. */
  async open(
    declaration: Partial<Messages['session-open']> = {},
    sessionId?: string,
    owner?: string,
  ): Promise<{ client: WireClient; pipe: MemoryPipe }> {
    const connection = this.connect(sessionId, owner);
    await quiet();
    connection.client.send('session-open', { ...DECLARATION, ...declaration });
    await quiet();
    return connection;
  }
}
