import { type Clock, type ContextKind, kvCapacity, type Messages, rowCodec, TandemError } from '@tandem/shared';
import { ContextCache } from '../context/context-cache.js';
import { PrefixIndex } from '../context/prefix-index.js';
import { SessionContext } from '../context/session-context.js';
import type { LargerModel } from '../larger-model/larger-model.js';
import type { Log } from '../log.js';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import type { StepRunner } from '../scheduler/step-runner.js';
import { NO_TRACING, type Tracing } from '../tracing.js';
import { CloudSession, type SessionPeer } from './cloud-session.js';
import type { Declaration } from './forward.js';
import { ResumeTokens } from './resume-tokens.js';
import type { TenantQuotas } from './tenant-quotas.js';

export interface SessionTableOptions {
  scheduler: StepRunner;
  /** Default: without a budget. */
  cache?: ContextCache;
  /** So many times the budget may be promised: sessions rarely use all that they declare, and idle ones give way. Default 1. */
  overcommit?: number;
  /** KV of one position in all stages that such a session runs. Default: nothing is counted. */
  kvBytesPerPosition?: (context: ContextKind) => number;
  /** The longest context that the engines' device has room for. Default: the model's. */
  positionsMax?: number | undefined;
  /** Goes into the keys of shared prefixes; a server that several tenants use needs one that nobody knows. */
  prefixSecret?: Uint8Array;
  /** Draws a token that a session's next connection has to bring along. Default: the credential is enough. */
  drawResumeToken?: () => string;
  /** Default: no tenant has a limit of its own. */
  quotas?: TenantQuotas;
  /** Tokens that end a text. */
  eosTokenIds: readonly number[];
  /** Connected and waiting ones. */
  sessionsMax: number;
  /** How long a session without a connection is kept. */
  resumeWindowMs: number;
  /** Writes where the small one is unsure, in sessions that allow it. */
  largerModel?: LargerModel | undefined;
  clock: Clock;
  log: Log;
  /** Default: nobody counts. */
  metrics?: Metrics;
  /** Default: nobody traces. */
  tracing?: Tracing;
}

interface Entry {
  session: CloudSession;
  owner: string;
  /** Hash of the token that the next connection has to bring. */
  resumeDigest: Buffer | undefined;
  /** KV that its declared context may come to. */
  reservedBytes: number;
  /** The client said that it is likely to come back. */
  returns: boolean;
  /** The connection that the session answers to; undefined while it waits to be resumed. */
  peer: SessionPeer | undefined;
  cancelExpiry: () => void;
}

/** All sessions of a server by id: who owns which, which connection speaks for it, how long it waits for one. */
export class SessionTable {
  readonly #options: SessionTableOptions;
  /** Sessions that were left last come last. */
  readonly #entries = new Map<string, Entry>();
  readonly #cache: ContextCache;
  readonly #prefixes: PrefixIndex<SessionContext>;
  readonly #tokens: ResumeTokens | undefined;
  /** KV that the contexts of connected sessions may come to. */
  #reservedBytes = 0;
  #opened = 0;
  #isDraining = false;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    this.#cache = options.cache ?? new ContextCache(Number.POSITIVE_INFINITY);
    this.#tokens = options.drawResumeToken && new ResumeTokens(options.drawResumeToken);
    this.#prefixes = new PrefixIndex(options.prefixSecret ?? NO_SECRET, options.metrics);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Sessions without a connection. */
  get detached(): number {
    let count = 0;
    for (const { peer } of this.#entries.values()) count += Number(peer === undefined);
    return count;
  }

  /**
   * Makes a session, or takes it over from a connection that may not know yet that it is dead.
   *
   * Codes: MODEL_MISMATCH, INVALID_OPTION, CONTEXT_TOO_LONG, UNAUTHORIZED, ENGINE_FAILED, SERVER_BUSY, SERVER_DRAINING.
   */
  open(
    { sessionId, owner }: { sessionId: string; owner: string },
    control: Messages['session-open'],
    peer: SessionPeer,
  ): OpenedSession {
    const declaration = this.#check(control);
    const known = this.#entries.get(sessionId);
    if (known && known.owner !== owner) {
      throw new TandemError(
        'UNAUTHORIZED',
        'the session belongs to another credential; open one with an id of its own',
      );
    }
    const bytes = this.#kvBytes(declaration);
    this.#checkRoom(bytes - (known?.peer ? known.reservedBytes : 0));
    const previous = known?.peer;
    if (!previous) this.#options.quotas?.connect(owner);
    known?.cancelExpiry();
    const entry =
      known && this.#isResumed(known, declaration, control) ? known : this.#replace(sessionId, owner, declaration);
    if (!entry.peer) this.#reservedBytes += bytes;
    entry.reservedBytes = bytes;
    entry.returns = control.returns ?? false;
    entry.peer = peer;
    entry.cancelExpiry = () => {};
    previous?.fail(new TandemError('SESSION_TAKEN', 'another connection opened this session'));
    // A larger model needs the text from the first token on, and would not get that of rows from elsewhere.
    const hashes = entry.session.largerModel === undefined ? (control.prefix ?? []) : [];
    const resume = this.#tokens?.issue();
    entry.resumeDigest = resume?.digest;
    const rows = entry.session.attach(peer, control.epoch, hashes);
    return { session: entry.session, ...rows, ...(resume ? { resume: resume.token } : {}) };
  }

  /** The connection is gone; the session waits for another one, unless it has one already. */
  leave(sessionId: string, peer: SessionPeer): void {
    const entry = this.#entries.get(sessionId);
    if (entry?.peer !== peer) return;
    this.#detach(entry);
    entry.session.detach();
    this.#entries.delete(sessionId);
    this.#entries.set(sessionId, entry);
    entry.cancelExpiry = this.#options.clock.schedule(this.#options.resumeWindowMs, () => this.#remove(sessionId));
  }

  /** The client has no more use for it. */
  free(sessionId: string, peer: SessionPeer): void {
    if (this.#entries.get(sessionId)?.peer === peer) this.#remove(sessionId);
  }

  /** No session is opened any more. */
  close(): void {
    this.#isDraining = true;
  }

  /** Resolves when every session has answered what it took in; none takes more. */
  async drain(): Promise<void> {
    this.close();
    await Promise.all([...this.#entries.values()].map(({ session }) => session.drain()));
  }

  dispose(): void {
    for (const id of [...this.#entries.keys()]) this.#remove(id);
  }

  #isResumed(known: Entry, declaration: Declaration, { resume }: Messages['session-open']): boolean {
    if (!isSame(known.session.declaration, declaration)) return false;
    return !this.#tokens || !known.resumeDigest || this.#tokens.isGood(resume, known.resumeDigest);
  }

  #check(control: Messages['session-open']): Declaration {
    if (this.#isDraining) throw new TandemError('SERVER_DRAINING', 'the server stops; connect again');
    const { info, isAvailable } = this.#options.scheduler;
    if (control.model !== info.model || control.format !== info.format) {
      const device = `${control.model} in ${control.format}`;
      const message = `the device has ${device}, the server ${info.model} in ${info.format}; give both the same bundle and format`;
      throw new TandemError('MODEL_MISMATCH', message);
    }
    const { positionsMax = info.contextLength } = this.#options;
    if (control.capacity < 1 || control.capacity > positionsMax) {
      const bound = positionsMax < info.contextLength ? "the server's GPU has room for" : "the model's context is";
      throw new TandemError('CONTEXT_TOO_LONG', `capacity ${control.capacity}, ${bound} ${positionsMax}`);
    }
    if (!isAvailable) throw new TandemError('ENGINE_FAILED', 'the engine does not start; try again later');
    const largerModel = control.largerModel === 'allow' && this.#options.largerModel !== undefined;
    return {
      context: control.context,
      codec: rowCodec(control.codec).name,
      capacity: control.capacity,
      ledger: control.ledger,
      largerModel,
    };
  }

  #replace(sessionId: string, owner: string, declaration: Declaration): Entry {
    if (this.#entries.has(sessionId)) this.#remove(sessionId);
    this.#makeRoom();
    const {
      scheduler,
      eosTokenIds,
      clock,
      log,
      metrics = NO_METRICS,
      kvBytesPerPosition,
      quotas,
      largerModel,
    } = this.#options;
    const context = new SessionContext({
      name: `session-${++this.#opened}`,
      declaration,
      tenant: owner,
      scheduler,
      cache: this.#cache,
      prefixes: this.#prefixes,
      kvBytesPerPosition: kvBytesPerPosition?.(declaration.context) ?? 0,
      metrics,
      isExpected: () => entry.peer !== undefined || entry.returns,
    });
    const ends = new Set(eosTokenIds);
    const { info } = scheduler;
    const session = new CloudSession({
      declaration,
      context,
      info,
      eosTokenIds: ends,
      largerModel: declaration.largerModel ? largerModel : undefined,
      quota: quotas && {
        receive: (bytes) => quotas.receive(owner, bytes),
        decided: (tokens) => quotas.decided(owner, tokens),
      },
      clock,
      log,
      metrics,
      tracing: this.#options.tracing ?? NO_TRACING,
    });
    const entry: Entry = {
      session,
      owner,
      resumeDigest: undefined,
      reservedBytes: 0,
      returns: false,
      peer: undefined,
      cancelExpiry: () => {},
    };
    this.#entries.set(sessionId, entry);
    return entry;
  }

  /** What the declared context may come to. */
  #kvBytes({ context, capacity }: Declaration): number {
    return (this.#options.kvBytesPerPosition?.(context) ?? 0) * kvCapacity(capacity, capacity);
  }

  /** Whoever is let in can go on to the end of its context; who could not is told now, and not in the middle of a text. */
  #checkRoom(bytes: number): void {
    const budgetBytes = this.#cache.budgetBytes * (this.#options.overcommit ?? 1);
    if (this.#reservedBytes + bytes <= budgetBytes) return;
    const message =
      bytes > budgetBytes
        ? `a context of this length takes ${bytes} bytes, the server promises ${budgetBytes} to all; ask for a smaller capacity`
        : 'the memory for contexts is taken; try again later, on another server or with a smaller capacity';
    throw new TandemError('SERVER_BUSY', message);
  }

  #detach(entry: Entry): void {
    if (!entry.peer) return;
    entry.peer = undefined;
    this.#reservedBytes -= entry.reservedBytes;
    this.#options.quotas?.disconnect(entry.owner);
  }

  /** A session that waits for its client gives way to a client that is there: it can be rebuilt, at the cost of time. */
  #makeRoom(): void {
    if (this.#entries.size < this.#options.sessionsMax) return;
    for (const [id, { peer }] of this.#entries) if (!peer) return this.#remove(id);
    const message = `${this.#entries.size} sessions are open, the limit; try again later or on another server`;
    throw new TandemError('SERVER_BUSY', message);
  }

  #remove(sessionId: string): void {
    const entry = this.#entries.get(sessionId);
    if (!entry) return;
    this.#entries.delete(sessionId);
    this.#detach(entry);
    entry.cancelExpiry();
    entry.returns = false;
    entry.session.free();
  }
}

export interface OpenedSession {
  session: CloudSession;
  length: number;
  /** Rows of the declared prefix that came from another session. */
  prefix: number;
  resume?: string;
}

const NO_SECRET = new Uint8Array(32);

function isSame(known: Declaration, asked: Declaration): boolean {
  const names = ['context', 'codec', 'capacity', 'ledger', 'largerModel'] as const;
  return names.every((name) => known[name] === asked[name]);
}
