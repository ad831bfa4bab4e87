import { VirtualClock } from '@tandem/netsim';
import { encodeMessage, limits, prefixBlocks, type Transport } from '@tandem/shared';
import { type Fault, inflict } from './faults.js';
import { CHAIN_INFO } from './hash-stage-model.js';
import { KEPT_BYTES_MAX, keptMax } from './kept-contexts.js';
import { watchLedgers } from './ledger-watch.js';
import type { PrefixPlan, Scenario } from './scenario.js';
import { SimClient } from './sim-client.js';
import { SimServer } from './sim-server.js';
import { Trace } from './trace.js';

/** Once the last fault is over, everything must be told within this time. Silence and back-off take most of it. */
const LIVENESS_MS = 240_000;
const SLICE_MS = 500;
const STRANGER_STAYS_MS = 500;

export interface RunReport {
  seed: number;
  faults: number;
  tokens: number;
  events: number;
  traceHash: number;
  failure: string | undefined;
  /** What happened, if the run was asked to keep it. */
  lines: string[] | undefined;
}

/** Everything of one run: devices, links, servers, one clock. */
export class World {
  readonly scenario: Scenario;
  readonly clock = new VirtualClock({ settle: 'promises' });
  readonly trace: Trace;
  readonly servers: SimServer[];
  readonly clients: SimClient[];
  tokens = 0;
  #failure: string | undefined;
  #faults = 0;
  #strangers = 0;
  readonly #blocks = new Map<PrefixPlan, string[]>();

  constructor(scenario: Scenario, keepsLines = false) {
    this.scenario = scenario;
    this.trace = new Trace(keepsLines);
    const { server, accuracy } = scenario;
    this.servers = Array.from({ length: scenario.servers }, () => new SimServer(server, accuracy, this.clock));
    this.clients = scenario.clients.map((plan, number) => new SimClient(number, plan, this));
  }

  /** The first failure is the one that counts. */
  fail(what: string): void {
    this.#failure ??= `at ${this.clock.now().toFixed(3)} ms: ${what}`;
    if (!this.trace.isFull) this.trace.add(this.clock.now(), -1, `FAILED ${what}`);
  }

  async run(): Promise<RunReport> {
    watchLedgers((what) => this.fail(what));
    try {
      await this.#hashPrefixes();
      await this.#play();
      if (!this.#failure) await this.#cleanUp();
    } catch (error) {
      this.fail(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
    }
    return {
      seed: this.scenario.seed,
      faults: this.#faults,
      tokens: this.tokens,
      events: this.trace.events,
      traceHash: this.trace.hash,
      failure: this.#failure,
      lines: this.trace.lines,
    };
  }

  /** What a session declares of its prefix. */
  blocksOf(prefix: PrefixPlan): string[] {
    return this.#blocks.get(prefix)!;
  }

  readonly moveClient = (number: number): void => {
    const client = this.clients[number];
    if (!client) return;
    client.server = (client.server + 1) % this.servers.length;
    client.link.cut();
  };

  readonly crowd = (server: number, strangers: number): void => {
    for (let i = 0; i < strangers; i++) this.#letIn(server, `stranger-number-${this.#strangers++}`);
  };

  /** Before time begins: the platform's SHA-256 takes a turn of the event loop, which virtual time does not wait for. */
  async #hashPrefixes(): Promise<void> {
    for (const { prefix } of this.scenario.clients) {
      if (prefix) this.#blocks.set(prefix, await prefixBlocks(prefix.tokens));
    }
  }

  async #play(): Promise<void> {
    for (const server of this.servers) void server.start();
    for (const client of this.clients) void client.live();
    for (const fault of this.scenario.faults) this.clock.schedule(fault.atMs, () => this.#inflict(fault));
    const endMs = (this.scenario.faults.at(-1)?.atMs ?? 0) + LIVENESS_MS;
    while (!this.clients.every(({ isDone }) => isDone) && !this.#failure) {
      if (this.clock.now() > endMs) {
        const stuck = this.clients.flatMap(({ isDone }, number) => (isDone ? [] : [number]));
        return this.fail(`client ${stuck.join(', ')} is not done ${LIVENESS_MS} ms after the last fault`);
      }
      await this.clock.advance(SLICE_MS);
      this.#checkBudgets();
    }
  }

  #inflict(fault: Fault): void {
    this.#faults++;
    const { kind, atMs, ...figures } = fault;
    const numbers = Object.values(figures).map((figure) => (typeof figure === 'number' ? figure : figure.length));
    this.trace.add(atMs, -1, kind, ...numbers);
    inflict(fault, this);
  }

  #checkBudgets(): void {
    for (const [number, server] of this.servers.entries()) {
      if (server.sessions > this.scenario.server.sessionsMax)
        this.fail(`server ${number}: ${server.sessions} sessions`);
    }
  }

  /**
   * When all have gone and waited long enough, nothing is left: no session, no KV, no connection, no timer. Only contexts that
   * others may begin with are kept, one for a beginning.
   */
  async #cleanUp(): Promise<void> {
    await this.clock.advance(this.scenario.server.resumeWindowMs + 4 * limits.KEEPALIVE_INTERVAL_MS);
    for (const [number, { sessions, connections, engineSessions, contextBytes }] of this.servers.entries()) {
      const kept = keptMax(this.scenario, this.#blocks);
      const isClean = engineSessions <= kept && contextBytes <= kept * KEPT_BYTES_MAX;
      if (sessions + connections === 0 && isClean) continue;
      const left = `${sessions} sessions, ${connections} connections, ${engineSessions} sessions in the engine, ${contextBytes} bytes`;
      this.fail(`server ${number} keeps ${left}`);
    }
    const stopped = Promise.all(this.servers.map((server) => server.stop()));
    await this.clock.advance(limits.STOP_GRACE_MS);
    await stopped;
    if (this.clock.pending > 0) this.fail(`${this.clock.pending} timers are left`);
  }

  #letIn(server: number, sessionId: string): void {
    const { model, format } = CHAIN_INFO;
    const open = { model, format, context: 'rows', codec: 'f32', capacity: 64, epoch: 0 } as const;
    const connect = this.servers[server]?.connect({ sessionId, owner: 'stranger' });
    const transport: Transport | undefined = connect?.({
      opened: () => transport?.send(encodeMessage('session-open', open)),
      received() {},
      closed() {},
    });
    this.clock.schedule(STRANGER_STAYS_MS, () => transport?.close());
  }
}
