import { type Clock, TandemError } from '@tandem/shared';

/** What one tenant may use; undefined: as much as there is. */
export interface TenantLimits {
  /** Connected sessions. */
  sessionsMax?: number | undefined;
  /** Tokens decided for its sessions. */
  tokensPerMinute?: number | undefined;
  /** Payload that its sessions send. */
  bytesPerMinute?: number | undefined;
}

const MINUTE_MS = 60_000;

/** The shares of all tenants. A tenant is whoever its credential says. */
export class TenantQuotas {
  readonly #limits: TenantLimits;
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();

  constructor(limits: TenantLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** A session of the tenant gets a connection. @throws TandemError SERVER_BUSY */
  connect(tenant: string): void {
    const account = this.#account(tenant);
    const { sessionsMax = Number.POSITIVE_INFINITY } = this.#limits;
    if (account.sessions >= sessionsMax) {
      throw new TandemError('SERVER_BUSY', `${account.sessions} sessions are open with this credential, the limit`);
    }
    account.sessions++;
  }

  disconnect(tenant: string): void {
    const account = this.#account(tenant);
    account.sessions--;
    // Full buckets and no session: nothing worth remembering.
    if (account.sessions === 0 && account.tokens.isFull && account.bytes.isFull) this.#accounts.delete(tenant);
  }

  /** Before work is taken in. @throws TandemError SERVER_BUSY, with the time after which there is some share again */
  receive(tenant: string, bytes: number): void {
    const account = this.#account(tenant);
    account.tokens.check('tokens');
    account.bytes.check('bytes');
    account.bytes.spend(bytes);
  }

  decided(tenant: string, tokens: number): void {
    this.#account(tenant).tokens.spend(tokens);
  }

  #account(tenant: string): Account {
    const known = this.#accounts.get(tenant);
    if (known) return known;
    const { tokensPerMinute, bytesPerMinute } = this.#limits;
    const bucket = (perMinute: number | undefined) => new Bucket(perMinute ?? Number.POSITIVE_INFINITY, this.#clock);
    const account = { sessions: 0, tokens: bucket(tokensPerMinute), bytes: bucket(bytesPerMinute) };
    this.#accounts.set(tenant, account);
    return account;
  }
}

interface Account {
  sessions: number;
  tokens: Bucket;
  bytes: Bucket;
}

/** A minute's share that fills up evenly. May be overdrawn by one spending: how much a step costs is known afterwards. */
class Bucket {
  readonly #perMinute: number;
  readonly #clock: Clock;
  #level: number;
  #filledAtMs: number;

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
    this.#level = perMinute;
    this.#filledAtMs = clock.now();
  }

  get isFull(): boolean {
    this.#fill();
    return this.#level >= this.#perMinute;
  }

  check(what: string): void {
    this.#fill();
    if (this.#level > 0) return;
    const retryAfterMs = Math.ceil(((1 - this.#level) / this.#perMinute) * MINUTE_MS);
    const message = `this credential has used its ${this.#perMinute} ${what} a minute; try again in ${retryAfterMs} ms`;
    throw new TandemError('SERVER_BUSY', message, { details: { retryAfterMs } });
  }

  spend(amount: number): void {
    this.#fill();
    this.#level -= amount;
  }

  #fill(): void {
    const nowMs = this.#clock.now();
    if (this.#perMinute === Number.POSITIVE_INFINITY) return;
    const filled = this.#level + ((nowMs - this.#filledAtMs) / MINUTE_MS) * this.#perMinute;
    this.#level = Math.min(this.#perMinute, filled);
    this.#filledAtMs = nowMs;
  }
}
