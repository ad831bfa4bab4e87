import { createHmac } from 'node:crypto';
import { limits, PREFIX_BLOCK_TOKENS } from '@tandem/shared';
import { type Metrics, NO_METRICS } from '../metrics/metrics.js';
import type { Declaration } from '../sessions/forward.js';

/** A context whose first rows others may have. */
export interface PrefixDonor {
  /** Leading rows that are as they were published. */
  readonly publishedRows: number;
  /** Its KV is in an engine. */
  readonly isHot: boolean;
  /** Its session is gone; it is kept for what it has published. */
  readonly isKept: boolean;
  /** Gives everything back. */
  release(): void;
}

export interface FoundPrefix<Donor> {
  donor: Donor;
  rows: number;
}

/** Donors of one block: a few, since some lie in other engines than the session that asks. */
const DONORS_MAX = 4;

/**
 * Which contexts begin with which token blocks. A key mixes the block's hash with a secret of this server, the tenant
 * (from the credential, never from a message), the codec and the kind of rows; model, format and cut are one per server.
 * So nothing that a client sends can name another tenant's entry.
 */
export class PrefixIndex<Donor extends PrefixDonor> {
  readonly #secret: Uint8Array;
  readonly #metrics: Metrics;
  /** Latest first. */
  readonly #donors = new Map<string, Donor[]>();
  /** Contexts of sessions that are gone; the longest unused first. */
  readonly #kept = new Set<Donor>();

  constructor(secret: Uint8Array, metrics: Metrics = NO_METRICS) {
    this.#secret = secret;
    this.#metrics = metrics;
  }

  /** Contexts that are kept without a session. */
  get kept(): number {
    return this.#kept.size;
  }

  keysOf(tenant: string, { context, codec }: Declaration, hashes: readonly string[]): string[] {
    return hashes.map((hash) =>
      createHmac('sha256', this.#secret)
        .update(JSON.stringify([tenant, context, codec, hash]))
        .digest('base64'),
    );
  }

  /** The longest beginning that some context still has; one in an engine before one that has to run again. */
  find(keys: readonly string[]): FoundPrefix<Donor> | undefined {
    for (let blocks = keys.length; blocks > 0; blocks--) {
      const rows = blocks * PREFIX_BLOCK_TOKENS;
      const donors = this.#valid(keys[blocks - 1]!, rows);
      const donor = donors.find(({ isHot }) => isHot) ?? donors[0];
      if (!donor) continue;
      if (this.#kept.delete(donor)) this.#kept.add(donor);
      this.#metrics.count('tandem_prefix_lookups_total', 1, 'hit');
      this.#metrics.count('tandem_prefix_rows_total', rows);
      return { donor, rows };
    }
    if (keys.length > 0) this.#metrics.count('tandem_prefix_lookups_total', 1, 'miss');
    return undefined;
  }

  /** `keys`: of the blocks that the donor has just published. */
  publish(keys: readonly string[], donor: Donor): void {
    for (const [index, key] of keys.entries()) {
      const others = this.#valid(key, (index + 1) * PREFIX_BLOCK_TOKENS).filter((other) => other !== donor);
      const isLast = index === keys.length - 1;
      // A living session has it now: what was kept for its sake only takes room.
      for (const other of others) if (isLast && other.isKept) this.#release(other);
      const left = others.filter((other) => !(isLast && other.isKept));
      this.#donors.set(key, [donor, ...left].slice(0, DONORS_MAX));
    }
  }

  /** The donor's session is gone. Returns whether its beginning is worth keeping: no other context has it. */
  keep(keys: readonly string[], donor: Donor): boolean {
    const last = keys.at(-1);
    const donors = last === undefined ? [] : this.#valid(last, keys.length * PREFIX_BLOCK_TOKENS);
    if (donors.length !== 1 || donors[0] !== donor) return false;
    this.#kept.add(donor);
    if (this.#kept.size > limits.PREFIXES_KEPT_MAX) {
      const [oldest] = this.#kept;
      this.#release(oldest!);
    }
    return true;
  }

  /** The donor has nothing to give any more. */
  remove(keys: readonly string[], donor: Donor): void {
    this.#kept.delete(donor);
    for (const key of keys) {
      const left = (this.#donors.get(key) ?? []).filter((other) => other !== donor);
      if (left.length > 0) this.#donors.set(key, left);
      else this.#donors.delete(key);
    }
  }

  #valid(key: string, rows: number): Donor[] {
    return (this.#donors.get(key) ?? []).filter(({ publishedRows }) => publishedRows >= rows);
  }

  #release(donor: Donor): void {
    this.#kept.delete(donor);
    donor.release();
  }
}
