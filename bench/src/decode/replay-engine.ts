import type { VirtualClock } from '@tandem/netsim';
import {
  assert,
  type Choice,
  type Engine,
  type EngineInfo,
  type EngineInput,
  type EngineSession,
  rowCodec,
  type StepRequest,
  type StepResult,
  stepMs,
} from '@tandem/shared';
import { BusyLog } from './busy-log.js';
import type { ReplayModel } from './replay-model.js';
import { ROOT } from './token-trie.js';

export interface ReplayEngineOptions {
  model: ReplayModel;
  /** `width` is the profile's: rows on the wire have its size. */
  info: EngineInfo;
  clock: VirtualClock;
  /** One row through each stage of the model, on this machine. */
  stageMs: readonly number[];
  furtherRowShare: number;
}

interface ReplaySession {
  firstStage: number;
  endStage: number;
  bytesPerRow: number;
  /** Node of each position. */
  nodes: number[];
  /** Positions that each stage has run. */
  stageLength: number[];
  /** The other continuation, as `StageChain` keeps it. */
  aside: { from: number; nodes: number[]; stageLength: number[] } | undefined;
}

/**
 * The engine of virtual time: a step takes what the profile says, and the choices are those that the real model makes. A row
 * on the wire has its real size and carries the node of its text, so that the other side's engine knows the text from the
 * bytes alone, as a real one would from the numbers. What a step returns is what `ChainEngine` returns, rows apart.
 */
export class ReplayEngine implements Engine {
  readonly info: EngineInfo;
  readonly busy = new BusyLog();
  readonly #options: ReplayEngineOptions;
  readonly #sessions = new Map<string, ReplaySession>();
  #last: Promise<unknown> = Promise.resolve();
  #isBusy = false;

  constructor(options: ReplayEngineOptions) {
    this.#options = options;
    this.info = options.info;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  async open({ session, firstStage, endStage, codec }: EngineSession): Promise<void> {
    this.#sessions.set(session, {
      firstStage,
      endStage,
      bytesPerRow: rowCodec(codec).bytesPerRow(this.info.width),
      nodes: [],
      stageLength: Array.from({ length: endStage - firstStage }, () => 0),
      aside: undefined,
    });
  }

  /** One at a time, as behind an engine port. */
  step(request: StepRequest): Promise<StepResult> {
    const done = this.#last.then(() => this.#step(request));
    this.#last = done.catch(() => {});
    return done;
  }

  async close(session: string): Promise<void> {
    this.#sessions.delete(session);
  }

  async dispose(): Promise<void> {
    this.#sessions.clear();
  }

  async #step(request: StepRequest): Promise<StepResult> {
    const session = this.#sessions.get(request.session);
    assert(session, `session ${request.session} is open`);
    for (const place of request.exchange ?? []) exchange(session, place);
    assert(request.from <= session.nodes.length, `input from ${request.from}, ${session.nodes.length} are held`);
    truncate(session, request.from);
    if (request.input) this.#append(session, request.input);
    const rowsFrom = session.stageLength.at(-1)!;
    const engineMs = this.#run(session, request.depth) + this.#makeRowsMs(session, request);
    const { choices, mismatch } = await this.#judge(session, request);
    const endsAtCut = session.endStage === this.info.deviceStages && request.depth === session.stageLength.length;
    const encodedRows = endsAtCut ? encode(session, rowsFrom) : new Uint8Array(0);
    if (mismatch) truncate(session, choices.at(-1)!.row + 1);
    await this.#take(engineMs);
    return { choices, mismatch, encodedRows, rowsFrom, length: session.nodes.length, engineMs };
  }

  #append({ nodes, bytesPerRow }: ReplaySession, input: EngineInput): void {
    if (input.kind === 'tokens') {
      for (const token of input.tokens) nodes.push(this.#options.model.trie.child(nodes.at(-1) ?? ROOT, token));
      return;
    }
    for (const node of decode(input.bytes, bytesPerRow)) {
      // What rests on another text than the one that is held would be a wrong token with a real engine.
      const parent = this.#options.model.trie.parent(node);
      assert(parent === (nodes.at(-1) ?? ROOT), `row ${nodes.length} goes on from another text`);
      nodes.push(node);
    }
  }

  /** Token ids of a prompt to the stages behind the cut: those before it run here, too. */
  #makeRowsMs({ firstStage }: ReplaySession, { input }: StepRequest): number {
    if (input?.kind !== 'tokens') return 0;
    const { stageMs, furtherRowShare } = this.#options;
    let sum = 0;
    for (let stage = 0; stage < firstStage; stage++)
      sum += stepMs(stageMs[stage]!, input.tokens.length, furtherRowShare);
    return sum;
  }

  /** Brings the first `depth` stages up to date; returns how long that takes. */
  #run({ stageLength, nodes, firstStage }: ReplaySession, depth: number): number {
    const { stageMs, furtherRowShare } = this.#options;
    let sum = 0;
    for (let index = 0; index < depth; index++) {
      sum += stepMs(stageMs[firstStage + index]!, nodes.length - stageLength[index]!, furtherRowShare);
      stageLength[index] = nodes.length;
    }
    return sum;
  }

  /** The first choice that differs from its draft is the last. */
  async #judge(session: ReplaySession, { want, drafts, depth }: StepRequest) {
    const { model, clock } = this.#options;
    const choices: Choice[] = [];
    for (const [index, row] of want.entries()) {
      const found = model.choice(session.nodes[row]!, session.firstStage + depth - 1);
      const choice = found instanceof Promise ? await clock.during(found) : found;
      choices.push(choice);
      const draft = drafts[index];
      if (draft !== undefined && draft !== choice.token) return { choices, mismatch: true };
    }
    return { choices, mismatch: false };
  }

  async #take(engineMs: number): Promise<void> {
    const { clock } = this.#options;
    const fromMs = clock.now();
    this.#isBusy = true;
    await clock.sleep(engineMs);
    this.#isBusy = false;
    this.busy.add(fromMs, clock.now());
  }
}

function exchange(session: ReplaySession, from: number): void {
  const { nodes, stageLength, aside } = session;
  const incoming = aside?.from === from ? aside : { nodes: [], stageLength: [] };
  const outgoing = { from, nodes: nodes.slice(from), stageLength };
  truncate(session, from);
  session.nodes.push(...incoming.nodes);
  session.stageLength = session.stageLength.map((own, stage) => Math.max(own, incoming.stageLength[stage] ?? 0));
  session.aside = outgoing;
}

function truncate(session: ReplaySession, length: number): void {
  if (session.aside && length < session.aside.from) session.aside = undefined;
  session.nodes.length = Math.min(session.nodes.length, length);
  session.stageLength = session.stageLength.map((own) => Math.min(own, length));
}

/** `(rows, bytesPerRow)`: the node in the first four bytes of each row, zeros behind it. */
function encode({ nodes, bytesPerRow }: ReplaySession, from: number): Uint8Array {
  const bytes = new Uint8Array((nodes.length - from) * bytesPerRow);
  const view = new DataView(bytes.buffer);
  for (let row = from; row < nodes.length; row++) view.setUint32((row - from) * bytesPerRow, nodes[row]!, true);
  return bytes;
}

function decode(bytes: Uint8Array, bytesPerRow: number): number[] {
  assert(bytes.length % bytesPerRow === 0, `${bytes.length} bytes are whole rows of ${bytesPerRow}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / bytesPerRow }, (_, row) => view.getUint32(row * bytesPerRow, true));
}
