import { applyPassage, Ledger, type LineMark, LineSwitch } from '@tandem/edge/testing';
import { accepted, unverified } from '../support/ledger-entries.js';
import {
  choiceOf,
  draftOf,
  isHandedOver,
  packRows,
  passageOf,
  rowsOf,
  statesOf,
  VOCABULARY_SIZE,
} from './hash-model.js';
import { ModelChain } from './model-chain.js';
import { type CloudPlant, type Downward, ModelCloud, type Upward } from './model-cloud.js';

/**
 * A miniature of a session around the production ledger: device stages, link and server are lists, every step is
 * chosen by the caller, and after each step the invariants of decode-protocol.md are checked.
 */
export interface Scenario {
  /** `exact` verifies all drafts; `collaborative` accepts some; `degrading` settles them on the device at times. */
  mode: 'exact' | 'collaborative' | 'degrading';
  promptLength: number;
  /** Probability that a draft is right. */
  accuracy: number;
  draftLength: number;
  /** A larger model writes in some states. */
  hasLargerModel?: boolean;
  /** Each `[which action, its parameter]`, both in [0, 256). */
  actions: [number, number][];
}

export interface Plants {
  cloud?: CloudPlant;
  /** Makes the ledger; control experiments put a broken one here. */
  createLedger?: () => Ledger;
  createLines?: (ledger: Ledger) => LineSwitch;
  applyPassage?: typeof applyPassage;
}

const BYTES_PER_ROW = 4;
const TEXT_LENGTH_MAX = 60;
/** Steps in which a session without faults must have settled `GROWTH` more tokens. */
const CALM_ROUNDS_MAX = 200;
const GROWTH = 4;

interface Run {
  /** First row that comes out at the cut, and the rows; none if the run ended at an early exit. */
  rowsFrom: number;
  rows: number[];
  line: LineMark;
  revision: number;
  length: number;
  drafts: boolean;
  accepts: boolean;
}

export class LedgerSimulation {
  readonly ledger: Ledger;
  readonly #scenario: Scenario;
  readonly #plants: Plants;
  #cloud: ModelCloud;
  #up: Upward[] = [];
  #down: Downward[] = [];
  /** Answers that a lost connection swallowed, or that were delivered before: they may turn up again. */
  #ghosts: Downward[] = [];
  readonly #chain = new ModelChain();
  readonly #lines: LineSwitch;
  #run: Run | undefined;
  #settledBefore = 0;
  faults = 0;
  /** Drafts on branches, and branches that a verdict chose. */
  branched = 0;
  adopted = 0;

  constructor(scenario: Scenario, plants: Plants = {}) {
    this.#scenario = scenario;
    this.#plants = plants;
    this.ledger = plants.createLedger?.() ?? createLedger();
    this.#cloud = new ModelCloud(plants.cloud, scenario.hasLargerModel);
    this.#lines = plants.createLines?.(this.ledger) ?? new LineSwitch(this.ledger);
    this.#begin(Array.from({ length: scenario.promptLength }, (_, i) => (7 * i + 3) % VOCABULARY_SIZE));
  }

  /** Runs all actions, then without faults until the text grows. Throws where a rule is broken. */
  play(): void {
    for (const [action, parameter] of this.#scenario.actions) {
      this.#act(action, parameter);
      this.#check();
    }
    this.#calm();
  }

  #act(action: number, parameter: number): void {
    if (action < 60) this.#startRun(parameter % 2 === 0, true, parameter);
    else if (action < 75) this.#startRun(true, false, parameter);
    else if (action < 125) this.#finishRun();
    else if (action < 160) this.#send(parameter % 4 === 0);
    else if (action < 185) this.#arrive();
    else if (action < 208) this.#serve();
    else if (action < 235) this.#deliver(this.#down.shift());
    else this.#fault(action - 235, parameter);
  }

  #fault(which: number, parameter: number): void {
    this.faults++;
    if (which < 4) this.#cut(parameter);
    else if (which < 6) this.#restartServer();
    else if (which < 9) this.#cloud.rows.length = Math.floor((this.#cloud.rows.length * parameter) / 256);
    else if (which < 12) this.#deliver(this.#ghosts[parameter % Math.max(1, this.#ghosts.length)]);
    else if (which < 14) this.ledger.askAgain();
    else if (which < 16) this.#cancel();
    else if (which < 18) this.#beginAnew(parameter);
    else if (this.#scenario.mode === 'degrading') this.ledger.settleOnDevice();
  }

  #begin(prompt: number[]): void {
    this.ledger.begin(prompt);
    this.#settledBefore = this.ledger.settled;
  }

  /** Feeds the stages. Where nobody drafts, this is the catch-up before a forward; a branch may be drafted, too. */
  #startRun(toCut: boolean, drafts: boolean, parameter: number): void {
    const { ledger } = this;
    if (this.#run) return;
    const line = drafts && parameter % 3 === 1 ? this.#branchLine(parameter) : ledger.main;
    const length = ledger.lengthOf(line)!;
    const unsettled = length - ledger.settled;
    if (drafts && (unsettled > this.#scenario.draftLength || length >= TEXT_LENGTH_MAX)) return;
    const needed = unsettled > 0 && !drafts ? length - 1 : length;
    for (const place of this.#lines.to(line, ledger.branch?.at ?? 0)) this.#chain.exchange(place);
    const { from, tokens } = ledger.feed(needed, line);
    this.#chain.feed(from, tokens);
    const cut = toCut ? this.#chain.runToCut() : { rowsFrom: 0, rows: [] };
    const accepts = this.#scenario.mode === 'collaborative' && parameter % 3 > 0;
    this.#run = { ...cut, line, revision: line.revision, length, drafts, accepts };
  }

  /** The line that competes with one of the drafts, if there is one. */
  #branchLine(parameter: number): LineMark {
    const { ledger } = this;
    if (ledger.branch) return ledger.branch.mark;
    const at = ledger.settled + (parameter % Math.max(1, ledger.length - ledger.settled));
    return ledger.entryAt(at)?.state === 'unverified' ? ledger.fork(at).mark : ledger.main;
  }

  /** The engine's answer, which may come after a verdict rolled the ledger back. */
  #finishRun(): void {
    const run = this.#run;
    if (!run) return;
    this.#run = undefined;
    const { line, length } = run;
    if (run.rows.length > 0) this.ledger.addRows(run.rowsFrom, packRows(run.rows), line);
    if (!run.drafts || run.revision !== line.revision || this.ledger.lengthOf(line) !== length) return;
    const state = statesOf(this.#chain.rows).at(-1)!;
    const token = draftOf(state, this.#scenario.accuracy);
    const second = token !== choiceOf(state) && state % 2 ? choiceOf(state) : (token + 1) % VOCABULARY_SIZE;
    this.ledger.append(run.accepts ? accepted(token) : unverified(token, { second }), line);
    if (this.ledger.branch && line !== this.ledger.main) this.branched++;
  }

  #send(askLast: boolean): void {
    const forward = this.ledger.nextForward(askLast || this.ledger.length === this.ledger.settled);
    if (!forward) return;
    this.#checkForward(forward);
    this.#up.push(forward);
  }

  #arrive(): void {
    const forward = this.#up.shift();
    if (forward) this.#cloud.arrive(forward);
  }

  #serve(): void {
    this.#down.push(...this.#cloud.step());
  }

  #deliver(answer: Downward | undefined): void {
    if (!answer) return;
    this.#ghosts.push(answer);
    if (answer.kind === 'verdict') {
      const change = this.ledger.applyVerdict({ ...answer, engineMs: 0, queueMs: 0 });
      if (change.kind === 'rolled-back' && change.adopted > 0) this.adopted++;
    } else if (answer.kind === 'passage') (this.#plants.applyPassage ?? applyPassage)(this.ledger, answer);
    else if (answer.kind === 'credit') this.ledger.acknowledge(answer.epoch, answer.length);
    else this.ledger.rewind(answer.epoch, answer.length);
  }

  /** Some frames arrived, the replies did not; then a new connection. What the server has queued may still run. */
  #cut(parameter: number): void {
    const arrived = parameter % (this.#up.length + 1);
    for (const forward of this.#up.slice(0, arrived)) this.#cloud.arrive(forward);
    this.#up = [];
    if (parameter % 3 > 0) for (let i = 0; i < arrived; i++) this.#serve();
    if (parameter % 5 > 0) this.#cloud.queue = [];
    this.#ghosts.push(...this.#down);
    this.#down = [];
    this.ledger.restart(this.#cloud.rows.length, this.#cloud.rowsEpoch);
  }

  #restartServer(): void {
    this.#cloud = new ModelCloud(this.#plants.cloud, this.#scenario.hasLargerModel);
    this.#up = [];
    this.#ghosts.push(...this.#down);
    this.#down = [];
    this.ledger.restart(0, 0);
  }

  #cancel(): void {
    this.#finishRun();
    this.ledger.cancel();
  }

  /** A new prompt that shares a part of the text so far, as in a chat. */
  #beginAnew(parameter: number): void {
    this.#cancel();
    const kept = 1 + (parameter % this.ledger.length);
    const text = Array.from({ length: kept }, (_, position) => this.ledger.tokenAt(position)!);
    this.#begin([...text, ...(parameter % 2 ? [parameter % VOCABULARY_SIZE, 9] : [])].slice(0, TEXT_LENGTH_MAX / 2));
  }

  /** The link is well and nobody interferes: what the decode loop does, until the text has grown. */
  #calm(): void {
    if (this.ledger.length >= TEXT_LENGTH_MAX) {
      this.#finishRun();
      this.#beginAnew(0);
    }
    const goal = Math.min(this.ledger.settled + GROWTH, TEXT_LENGTH_MAX);
    for (let round = 0; this.ledger.settled < goal; round++) {
      if (round === CALM_ROUNDS_MAX) throw new Error(`stuck at ${this.ledger.settled} of ${goal} settled tokens`);
      this.#finishRun();
      this.#startRun(round % 3 === 0, true, round);
      this.#finishRun();
      this.#startRun(true, false, round);
      this.#finishRun();
      this.#exchange();
      this.#check();
    }
  }

  /** Sends all, awaits all. As in the peer, silence with nothing to send is broken by asking again. */
  #exchange(): void {
    this.#send(false);
    if (this.#up.length + this.#cloud.queue.length + this.#down.length === 0) {
      this.ledger.askAgain();
      this.#send(false);
    }
    while (this.#up.length > 0) this.#arrive();
    while (this.#cloud.queue.length > 0) this.#serve();
    while (this.#down.length > 0) this.#deliver(this.#down.shift());
  }

  #check(): void {
    const { acked, sent, cutLength, fed, length, settled, promptLength } = this.ledger;
    const figures = [acked, sent, cutLength, fed, length];
    if (figures.some((figure, i) => i > 0 && figures[i - 1]! > figure) || settled > length || settled < promptLength) {
      throw new Error(`acked ≤ sent ≤ cut ≤ fed ≤ length is broken: ${figures.join(' ')}, settled ${settled}`);
    }
    if (settled < this.#settledBefore) throw new Error(`settled fell from ${this.#settledBefore} to ${settled}`);
    this.#settledBefore = settled;
    this.#checkText();
  }

  /** What the cloud settled is the whole model's choice on the settled prefix; in exact mode that is everything. */
  #checkText(): void {
    const { settled, promptLength } = this.ledger;
    const tokens = Array.from({ length: settled }, (_, position) => this.ledger.tokenAt(position)!);
    const states = statesOf(rowsOf(tokens));
    let passage: number[] = [];
    for (let position = promptLength; position < settled; position++) {
      const entry = this.ledger.entryAt(position)!;
      if (entry.state !== 'settled') throw new Error(`token ${position} of ${settled} is ${entry.state}`);
      if (entry.origin.kind === 'larger-model' || passage.length > 0) {
        const state = states[position - 1]!;
        if (passage.length === 0 && isHandedOver(state)) passage = passageOf(state);
        if (entry.token !== passage.shift()) throw new Error(`wrong passage at ${position}`);
        continue;
      }
      const byCloud = entry.origin.kind === 'cloud' || entry.origin.verified;
      if (!byCloud && this.#scenario.mode === 'exact') throw new Error(`token ${position} was settled unverified`);
      if (byCloud && entry.token !== choiceOf(states[position - 1]!)) throw new Error(`wrong token at ${position}`);
    }
  }

  /** The rows that go up are those of the tokens that the ledger has now, whatever it went through. */
  #checkForward({ from, count, payload, want, drafts }: Upward): void {
    const tokens = Array.from({ length: from + count }, (_, position) => this.ledger.tokenAt(position)!);
    const expected = packRows(rowsOf(tokens).slice(from));
    if (Buffer.compare(expected, payload) !== 0) throw new Error(`payload of rows [${from}, ${from + count}) differs`);
    if (drafts.some((draft, i) => draft !== this.ledger.tokenAt(want[i]! + 1))) throw new Error('drafts differ');
  }
}

export function createLedger(): Ledger {
  return new Ledger({ kind: 'rows', vocabularySize: 100, bytesPerRow: BYTES_PER_ROW });
}
