/** Interactive: a few rows that somebody waits for. Prefill: the rows of a prompt, and everything else that is long. */
export type StepKind = 'interactive' | 'prefill';

export interface QueuedJob {
  kind: StepKind;
  /** Who the engine's time is shared between. */
  tenant: string;
  /** What it will cost, in rows. */
  rows: number;
}

/** So many interactive jobs may pass a waiting prefill: nobody's prompt may wait for ever. */
export const INTERACTIVE_RUN_MAX = 8;

/** Tenants whose account is kept while they have nothing to do; more are forgotten at once. */
const IDLE_TENANTS_MAX = 1_024;

/**
 * The order of jobs: interactive before prefill, and inside each kind in turns between tenants, by the rows that they
 * were served (start-time fair queueing, Goyal et al. 1996). A tenant's own jobs keep their order.
 *
 * A tenant that comes back starts at the account of whoever was served last: it gets the next turn, and cannot save up
 * turns by being idle.
 */
export class FairQueue<Job extends QueuedJob> {
  readonly #lanes: Record<StepKind, Lane<Job>> = { interactive: new Lane(), prefill: new Lane() };
  #interactiveRun = 0;

  get size(): number {
    return this.#lanes.interactive.size + this.#lanes.prefill.size;
  }

  push(job: Job): void {
    this.#lanes[job.kind].push(job);
  }

  /** Takes the job whose turn it is; one that does not fit keeps its turn. */
  take(fits: (job: Job) => boolean = always): Job | undefined {
    const { interactive, prefill } = this.#lanes;
    const isPrefillDue = interactive.size === 0 || this.#interactiveRun >= INTERACTIVE_RUN_MAX;
    if (prefill.size > 0 && isPrefillDue) {
      const job = prefill.take(fits);
      if (job) this.#interactiveRun = 0;
      return job;
    }
    const job = interactive.take(fits);
    if (job) this.#interactiveRun = prefill.size > 0 ? this.#interactiveRun + 1 : 0;
    return job;
  }

  /** Returns whether the job was still there. */
  remove(job: Job): boolean {
    return this.#lanes[job.kind].remove(job);
  }
}

const always = () => true;

interface Account<Job> {
  served: number;
  jobs: Job[];
}

class Lane<Job extends QueuedJob> {
  readonly #accounts = new Map<string, Account<Job>>();
  /** What the tenant served last had been served before. */
  #floor = 0;
  size = 0;

  push(job: Job): void {
    const account = this.#accounts.get(job.tenant) ?? this.#open(job.tenant);
    if (account.jobs.length === 0) account.served = Math.max(account.served, this.#floor);
    account.jobs.push(job);
    this.size++;
  }

  take(fits: (job: Job) => boolean): Job | undefined {
    let next: Account<Job> | undefined;
    for (const account of this.#accounts.values()) {
      if (account.jobs.length > 0 && (!next || account.served < next.served)) next = account;
    }
    const job = next?.jobs[0];
    if (!next || !job || !fits(job)) return undefined;
    next.jobs.shift();
    this.#floor = next.served;
    next.served += Math.max(1, job.rows);
    this.size--;
    return job;
  }

  remove(job: Job): boolean {
    const jobs = this.#accounts.get(job.tenant)?.jobs;
    const index = jobs?.indexOf(job) ?? -1;
    if (!jobs || index < 0) return false;
    jobs.splice(index, 1);
    this.size--;
    return true;
  }

  #open(tenant: string): Account<Job> {
    if (this.#accounts.size >= IDLE_TENANTS_MAX) {
      for (const [name, { jobs }] of this.#accounts) if (jobs.length === 0) this.#accounts.delete(name);
    }
    const account = { served: this.#floor, jobs: [] };
    this.#accounts.set(tenant, account);
    return account;
  }
}
