import {
  assert,
  type Choice,
  type Clock,
  type Engine,
  type Evidence,
  GREEDY,
  type SamplingSettings,
  WINDOW_POSITIONS,
} from '@tandem/shared';
import type { Controller } from '../control/controller.js';
import type { EventStream } from '../events.js';
import { decide, type Mode } from '../exit/decision.js';
import { ENTROPY_HISTORY, type ExitEvidence, type ExitPolicy } from '../exit/exit-policy.js';
import type { Ledger } from '../ledger/ledger.js';
import type { LedgerEntry } from '../ledger/ledger-entry.js';
import type { LineMark } from '../ledger/ledger-types.js';
import { LineSwitch } from './line-switch.js';

/** A step of so many tokens is one of a prompt. */
const PROMPT_ROWS = 4;

export interface DrafterOptions {
  engine: Engine;
  /** Of this session in the engine. */
  sessionId: string;
  ledger: Ledger;
  policy: ExitPolicy;
  controller: Controller;
  events: EventStream;
  clock: Clock;
  /** `hasExit[i]`: whether device stage i ends in an exit head. */
  hasExit: readonly boolean[];
  /** Smoothed round trip to the server; undefined while none was measured, or without a server. */
  roundTripMs: () => number | undefined;
}

/** How the next token is to be drafted. */
export interface DraftRequest {
  mode: Mode;
  /** `away`: nobody is there to verify. */
  cloud: 'there' | 'away';
  sampling: SamplingSettings;
  /** Looked at before every step; default: never aborted. */
  signal?: AbortSignal;
}

/** Runs the device stages for the ledger: drafts the next token of a line, brings rows to the cut. */
export class Drafter {
  readonly #options: DrafterOptions;
  readonly #lastExit: number;
  readonly #lines: LineSwitch;
  /** Milliseconds in device stages since the session began. */
  engineMs = 0;

  constructor(options: DrafterOptions) {
    this.#options = options;
    this.#lastExit = options.hasExit.lastIndexOf(true) + 1;
    this.#lines = new LineSwitch(options.ledger);
  }

  /** Whether any exit can draft. Without one the device only makes rows, and the cloud chooses. */
  get canDraft(): boolean {
    return this.#lastExit > 0;
  }

  /**
   * Decides the next token at the first exit that is sure, or at the last one, and appends it to the ledger.
   * Does nothing if a verdict took back the end of the line meanwhile.
   */
  async draft(request: DraftRequest, line = this.#options.ledger.main): Promise<void> {
    const { ledger, policy, hasExit, controller, clock } = this.#options;
    const length = ledger.lengthOf(line);
    const { revision } = line;
    assert(length !== undefined, 'a line that is gone needs no drafts');
    const isThere = () => ledger.lengthOf(line) === length && line.revision === revision;
    if (line === ledger.main) await this.#prefill(request, length);
    if (!isThere()) return;
    const earlier: Choice[] = [];
    const startedMs = clock.now();
    let before = 0;
    for (let depth = 1; depth <= this.#lastExit; depth++) {
      if (!hasExit[depth - 1]) continue;
      request.signal?.throwIfAborted();
      const stepStartedMs = clock.now();
      const [choice] = await this.#run(line, depth, [length - 1], request.sampling, length);
      controller.times.stepped(depth, clock.now() - stepStartedMs);
      if (!isThere()) return;
      assert(choice, 'a wanted position gives a choice');
      const seen = earlier.map(({ evidence }) => evidence);
      const isConfident = policy.isConfident(this.#evidence(choice, depth, seen, line));
      const isWorthDrafting = request.cloud === 'there' && controller.isWorthDrafting(depth, choice.evidence.margin);
      const decision = decide(request.mode, isConfident, depth === this.#lastExit, isWorthDrafting);
      if (decision === 'deeper') {
        earlier.push(choice);
        before = depth;
        continue;
      }
      controller.times.drafted(clock.now() - startedMs);
      return this.#append(choice, depth, { decision, ...request, line, earlier: earlierOf(earlier.at(-1), before) });
    }
  }

  /** Drafts one more token of the branch; opens it where the first wrong draft is expected. */
  async draftBranch(request: DraftRequest): Promise<void> {
    const { ledger, controller } = this.#options;
    const at = ledger.branch?.at ?? controller.forkPosition(ledger);
    if (at !== undefined) await this.draft(request, (ledger.branch ?? ledger.fork(at)).mark);
  }

  /** Brings the rows to the cut that a forward needs: those that left at an early exit ran only so far. */
  async catchUp(): Promise<void> {
    const { ledger, hasExit } = this.#options;
    // The last draft's own row is of no use before the draft is verified; only a ledger without drafts needs it.
    const needed = ledger.length > ledger.settled ? ledger.length - 1 : ledger.length;
    if (ledger.cutLength < needed) await this.#run(ledger.main, hasExit.length, [], GREEDY, needed);
  }

  /**
   * Runs all of a long prompt but its last window, a window at a time: who aborts waits for one step, and not for a
   * prompt. To the cut where every token needs its row there, else to the first exit, which may be sure.
   */
  async #prefill({ mode, signal }: DraftRequest, length: number): Promise<void> {
    const { ledger, hasExit } = this.#options;
    const { main } = ledger;
    const { revision } = main;
    const depth = mode === 'exact' ? hasExit.length : hasExit.indexOf(true) + 1;
    for (let end = windowEnd(ledger.fed); end < length; end = windowEnd(ledger.fed)) {
      signal?.throwIfAborted();
      await this.#run(main, depth, [], GREEDY, end);
      if (ledger.main !== main || main.revision !== revision) return;
    }
  }

  #evidence(
    { evidence, rowSimilarity, row }: Choice,
    exit: number,
    earlier: readonly Evidence[],
    line: LineMark,
  ): ExitEvidence {
    const { ledger, roundTripMs } = this.#options;
    const position = row + 1;
    const recentEntropies: number[] = [];
    for (let at = Math.max(ledger.promptLength, position - ENTROPY_HISTORY); at < position; at++) {
      recentEntropies.push(ledger.entryAt(at, line)?.entropy ?? 0);
    }
    return {
      ...evidence,
      rowSimilarity,
      exit,
      earlier,
      generated: position - ledger.promptLength,
      recentEntropies,
      roundTripMs: roundTripMs(),
    };
  }

  #append(
    { token, second, evidence, row, logprobs }: Choice,
    stage: number,
    { decision, cloud, line, earlier }: DraftRequest & Decided,
  ): void {
    const { ledger, events, controller } = this.#options;
    const { maxProbability, margin, entropy } = evidence;
    const isBranch = line !== ledger.main;
    events.emit({ kind: 'draft', position: row + 1, token, stage, maxProbability, decision, isBranch });
    const degraded = decision === 'verify' && cloud === 'away';
    const isFinal = decision === 'accept' || degraded;
    const entry: LedgerEntry = {
      token,
      origin: { kind: 'exit', stage, verified: false, degraded },
      state: isFinal ? 'accepted' : 'unverified',
      probability: isFinal ? 1 : controller.acceptance.chance(stage, margin),
      margin,
      second,
      entropy,
      ...(earlier ? { earlier } : {}),
      ...(logprobs ? { logprobs } : {}),
    };
    ledger.append(entry, line);
  }

  async #run(
    line: LineMark,
    depth: number,
    want: number[],
    sampling: SamplingSettings,
    end: number,
  ): Promise<Choice[]> {
    const { engine, sessionId, ledger, clock } = this.#options;
    const exchange = this.#lines.to(line, ledger.branch?.at ?? 0);
    const { from, tokens } = ledger.feed(end, line);
    const input = tokens.length > 0 ? { input: { kind: 'tokens', tokens } as const } : {};
    const startedMs = clock.now();
    try {
      const request = { session: sessionId, exchange, from, ...input, depth, want, drafts: [], sampling };
      const result = await engine.step(request);
      if (result.encodedRows.length > 0) ledger.addRows(result.rowsFrom, result.encodedRows, line);
      return result.choices;
    } catch (error) {
      ledger.unfeed(from);
      throw error;
    } finally {
      const ms = clock.now() - startedMs;
      this.engineMs += ms;
      if (tokens.length >= PROMPT_ROWS) this.#options.controller.times.prefilled(tokens.length, ms);
    }
  }
}

/** Behind the window that position `fed` lies in. */
function windowEnd(fed: number): number {
  return fed - (fed % WINDOW_POSITIONS) + WINDOW_POSITIONS;
}

interface Decided {
  decision: 'accept' | 'verify';
  line: LineMark;
  earlier: LedgerEntry['earlier'];
}

function earlierOf(choice: Choice | undefined, stage: number): LedgerEntry['earlier'] {
  return choice && { stage, token: choice.token, margin: choice.evidence.margin };
}
