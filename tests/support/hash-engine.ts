import type { EngineSource } from '@tandem/cloud';
import {
  type CopyRequest,
  type Engine,
  type EngineInfo,
  type EngineSession,
  type Evidence,
  NO_DRAFT,
  type StepOutcome,
  type StepRequest,
  type StepResult,
  TandemError,
} from '@tandem/shared';
import { choiceOf, rowsOf, statesOf, unpackRows, VOCABULARY_SIZE } from '../property/hash-model.js';

export const HASH_INFO: EngineInfo = {
  model: 'f'.repeat(64),
  format: 'f32',
  // A row of the hash model is four bytes: one number of an f32 row.
  width: 1,
  vocabularySize: VOCABULARY_SIZE,
  contextLength: 1_000,
  stages: 2,
  deviceStages: 1,
};

const NO_EVIDENCE: Evidence = { top: 0, maxProbability: 0, margin: 0, entropy: 0, second: 0 };

/** Runs the hash model for sessions: one wrong, missing or doubled row changes every choice after it. */
export class HashEngine implements Engine {
  readonly info = HASH_INFO;
  readonly sessions = new Map<string, { rows: number[]; firstStage: number; tokens: number[] }>();
  readonly steps: StepRequest[] = [];
  /** Thrown by the next step. */
  nextError: Error | undefined;
  /** Thrown by all. */
  everyError: Error | undefined;
  #gate: Promise<void> = Promise.resolve();
  #openGate = () => {};
  #die: (error: Error) => void = () => {};
  readonly #death: Promise<never>;

  constructor() {
    this.#death = new Promise((_, reject) => {
      this.#die = reject;
    });
    this.#death.catch(() => {});
  }

  /** Steps begin and do not end until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#openGate = resolve;
    });
  }

  release(): void {
    this.#openGate();
  }

  /** Everything under way is rejected, as when the process is gone. */
  die(): void {
    this.#die(new TandemError('ENGINE_FAILED', 'the engine process was ended by SIGKILL'));
  }

  async open({ session, firstStage }: EngineSession): Promise<void> {
    this.sessions.set(session, { rows: [], tokens: [], firstStage });
  }

  async step(request: StepRequest): Promise<StepResult> {
    this.steps.push(request);
    await Promise.race([this.#gate, this.#death]);
    const error = this.nextError ?? this.everyError;
    this.nextError = undefined;
    if (error) throw error;
    return this.#run(request);
  }

  /** Sessions of each run of several. */
  readonly runs: string[][] = [];

  async stepTogether(requests: readonly StepRequest[]): Promise<StepOutcome[]> {
    this.runs.push(requests.map(({ session }) => session));
    await Promise.race([this.#gate, this.#death]);
    return await Promise.all(requests.map((request) => this.step(request).catch((error: Error) => error)));
  }

  /** Sources and targets of `copy`. */
  readonly copies: { source: string; length: number }[] = [];

  async copy({ source, target, length }: CopyRequest): Promise<number> {
    await this.#gate;
    const from = this.sessions.get(source);
    const to = this.sessions.get(target);
    if (!from || !to) return 0;
    to.rows = from.rows.slice(0, length);
    to.tokens = from.tokens.slice(0, length);
    this.copies.push({ source, length: to.rows.length });
    return to.rows.length;
  }

  async close(session: string): Promise<void> {
    this.sessions.delete(session);
  }

  async dispose(): Promise<void> {
    this.sessions.clear();
  }

  #run({ session, from, input, want, drafts }: StepRequest): StepResult {
    const state = this.sessions.get(session);
    if (!state) throw new Error(`session ${session} is not open`);
    if (from > state.rows.length) throw new Error(`input from ${from}, ${state.rows.length} rows are there`);
    state.rows.length = from;
    state.tokens.length = Math.min(state.tokens.length, from);
    if (input?.kind === 'tokens') {
      state.tokens.push(...input.tokens);
      state.rows = rowsOf(state.tokens);
    } else if (input) state.rows.push(...unpackRows(input.bytes));
    const states = statesOf(state.rows);
    const choices: StepResult['choices'] = [];
    let mismatch = false;
    for (const [index, row] of want.entries()) {
      const token = choiceOf(states[row]!);
      choices.push({ row, token, second: token, evidence: { ...NO_EVIDENCE, top: token }, rowSimilarity: 0 });
      const draft = drafts[index];
      mismatch = draft !== undefined && draft !== NO_DRAFT && draft !== token;
      if (mismatch) break;
    }
    if (mismatch) {
      state.rows.length = choices.at(-1)!.row + 1;
      state.tokens.length = Math.min(state.tokens.length, state.rows.length);
    }
    return { choices, mismatch, encodedRows: new Uint8Array(0), rowsFrom: 0, length: state.rows.length, engineMs: 0 };
  }
}

/** A hash engine that can be killed; the next one is there at once. */
export class MortalEngine implements EngineSource {
  info: EngineInfo = HASH_INFO;
  engine = new HashEngine();
  generation = 0;
  isAvailable = true;
  isRunning = true;

  async current(): Promise<Engine> {
    return this.engine;
  }

  kill(): void {
    const old = this.engine;
    this.engine = new HashEngine();
    this.generation++;
    old.die();
  }
}
