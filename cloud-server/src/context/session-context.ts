import { assert, type ErrorCode, PREFIX_BLOCK_TOKENS, rowCodec, TandemError } from '@tandem/shared';
import type { OpenSource, Outcome, ScheduledStep } from '../scheduler/step-runner.js';
import { type Forward, isAwaited } from '../sessions/forward.js';
import type { CachedContext, ContextCache } from './context-cache.js';
import { KvSession, type KvSessionOptions } from './kv-session.js';
import type { PrefixDonor, PrefixIndex } from './prefix-index.js';
import { RowHistory } from './row-history.js';

export interface SessionContextOptions extends KvSessionOptions {
  cache: ContextCache;
  prefixes: PrefixIndex<SessionContext>;
  /** KV of one position in all stages that the session runs. */
  kvBytesPerPosition: number;
  isExpected(): boolean;
}

/** Engine errors that the client caused: doing it again cannot help, and the rows that came are not to be kept. */
export const CLIENT_FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'PROTOCOL_VIOLATION',
  'CONTEXT_TOO_LONG',
  'INVALID_OPTION',
  'SERVER_BUSY',
]);

/**
 * The context of one session: the rows that its client sent, and a KV cache in some engine that has run so many of them.
 *
 *     rows    0 ······················ length     kept here, as received; the first may come from another session
 *     KV      0 ········· ran                     lost by eviction or a crash: 0, and any engine may go on
 *
 * A forward appends its rows and brings the engine up to date. So catching up after a loss is no path of its own: there
 * are only more rows to run, and what runs them does not matter, since rows do not depend on their grouping.
 */
export class SessionContext implements CachedContext, PrefixDonor {
  readonly #options: SessionContextOptions;
  readonly #rows: RowHistory;
  readonly #kv: KvSession;
  /** Keys of the blocks that the client declared. */
  #keys: readonly string[] = [];
  #publishedRows = 0;
  /** Who the first rows come from, until they are in an engine. */
  #donor: SessionContext | undefined;
  #donatedRows = 0;
  isBusy = false;
  isKept = false;
  #isFreed = false;

  constructor(options: SessionContextOptions) {
    this.#options = options;
    const { context, codec } = options.declaration;
    const bytesPerRow = rowCodec(codec).bytesPerRow(options.scheduler.info.width);
    this.#rows = new RowHistory(context === 'rows' ? bytesPerRow : undefined);
    this.#kv = new KvSession(options);
  }

  /** Rows that need not be sent again. */
  get length(): number {
    return this.#rows.length;
  }

  get kvBytes(): number {
    return this.#options.kvBytesPerPosition * this.#kv.positions;
  }

  get rowBytes(): number {
    return this.#rows.bytes;
  }

  get isExpected(): boolean {
    return this.#options.isExpected();
  }

  get isHot(): boolean {
    return this.#kv.isHot;
  }

  get publishedRows(): number {
    return this.#publishedRows;
  }

  /** Where the KV of the first rows can be copied from, as far as it is there at this moment. */
  sourceOf(rows: number): OpenSource | undefined {
    return this.#kv.sourceOf(Math.min(rows, this.#publishedRows));
  }

  /** The client begins with these blocks. Takes over what another context has of them; returns how many rows that is. */
  declare(hashes: readonly string[]): number {
    const { prefixes, tenant, declaration, cache } = this.#options;
    this.#keys = prefixes.keysOf(tenant, declaration, hashes);
    if (this.length > 0 || this.#keys.length === 0) return 0;
    const found = prefixes.find(this.#keys);
    const rows = Math.min(found?.rows ?? 0, declaration.capacity);
    if (!found || rows === 0) return 0;
    this.#rows.appendFrom(found.donor.#rows, rows);
    this.#donor = found.donor;
    this.#donatedRows = rows;
    cache.used(this);
    return rows;
  }

  /**
   * Truncates to `from`, appends, brings the engine up to date, judges. May be repeated after a failure. A failure that
   * is the client's fault leaves `from` rows.
   */
  async run(forward: Forward): Promise<Outcome<ScheduledStep>> {
    assert(forward.from <= this.length, `rows from ${forward.from}, ${this.length} are held: a hole`);
    this.isBusy = true;
    this.#truncate(forward.from);
    if (forward.input) this.#rows.append(forward.input);
    let outcome = await this.#catchUp(forward);
    if (isRefused(outcome) && (await this.#options.cache.makeWay(this))) outcome = await this.#catchUp(forward);
    this.isBusy = false;
    if (this.#isFreed) this.#leave();
    else this.#settle(forward, outcome);
    return outcome;
  }

  #catchUp(forward: Forward): Promise<Outcome<ScheduledStep>> {
    return this.#kv.catchUp(this.#rows, forward, this.#donor?.sourceOf(this.#donatedRows));
  }

  /** Rows from `length` on are not the text's any more. */
  truncate(length: number): void {
    this.#truncate(length);
  }

  /** Its client has gone: what the rows took in advance is given back now, and not when memory is short. */
  rest(): void {
    if (this.isBusy || this.#isFreed) return;
    this.#rows.trim();
    this.#options.cache.used(this);
  }

  compact(): Promise<void> {
    this.#rows.trim();
    return this.#kv.close();
  }

  drop(): void {
    void this.#kv.close();
    this.#rows.clear();
    this.#publishedRows = 0;
    this.#donor = undefined;
    this.#donatedRows = 0;
    this.#options.prefixes.remove(this.#keys, this);
  }

  /** The session is over. Gives everything back after the step that runs, unless others may still use the beginning. */
  free(): void {
    this.#isFreed = true;
    if (!this.isBusy) this.#leave();
  }

  release(): void {
    this.drop();
    this.#options.cache.removed(this);
  }

  #leave(): void {
    const blocks = this.#publishedRows / PREFIX_BLOCK_TOKENS;
    this.isKept = blocks > 0 && this.#options.prefixes.keep(this.#keys.slice(0, blocks), this);
    if (!this.isKept) return this.release();
    this.#truncate(this.#publishedRows);
    this.#rows.trim();
    this.#options.cache.used(this);
  }

  #truncate(length: number): void {
    this.#rows.truncate(length);
    this.#kv.truncate(length);
    const whole = length - (length % PREFIX_BLOCK_TOKENS);
    this.#publishedRows = Math.min(this.#publishedRows, whole);
    this.#donatedRows = Math.min(this.#donatedRows, length);
  }

  #settle(forward: Forward, outcome: Outcome<ScheduledStep>): void {
    if (outcome.kind === 'failed') {
      // What an engine refuses it refuses before it changes anything; after any other failure its copy is in doubt.
      if (CLIENT_FAULTS.has(outcome.error.code)) this.#truncate(forward.from);
      else void this.#kv.close();
    }
    // A verdict that nobody waits for changes nothing: its rows are what the client sent, and may be asked about again.
    if (outcome.kind === 'done') {
      if (outcome.value.result.mismatch && isAwaited(forward)) this.#truncate(this.#kv.ran);
      this.#donor = undefined;
      this.#publish(forward.prefixBlocks);
    }
    this.#options.cache.used(this);
  }

  /** The client says that its first rows are those of so many declared blocks; believed inside its own tenant only. */
  #publish(blocks: number): void {
    const whole = Math.min(blocks, this.#keys.length, Math.floor(this.#kv.ran / PREFIX_BLOCK_TOKENS));
    const rows = whole * PREFIX_BLOCK_TOKENS;
    if (rows <= this.#publishedRows) return;
    this.#publishedRows = rows;
    this.#options.prefixes.publish(this.#keys.slice(0, whole), this);
  }
}

/** Its device had no memory for the step. */
function isRefused(outcome: Outcome<unknown>): boolean {
  return outcome.kind === 'failed' && outcome.error.code === 'SERVER_BUSY';
}

/** The engine failed so often in a row that this connection should give up. */
export function failedForGood(failures: number, cause: TandemError): TandemError {
  const message = `the engine failed ${failures} times in a row on this session; try again later`;
  return new TandemError('ENGINE_FAILED', message, { cause });
}
