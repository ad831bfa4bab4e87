import { type DecodeCosts, draftFloor, draftThreshold, type Messages, sendThreshold, tokensPay } from '@tandem/shared';
import type { Ledger } from '../ledger/ledger.js';
import type { LedgerEntry } from '../ledger/ledger-entry.js';
import type { LedgerChange } from '../ledger/ledger-types.js';
import type { LinkMeter } from '../link/link-meter.js';
import type { Acceptance } from './acceptance.js';
import { type Action, nextAction } from './next-action.js';
import { StepTimes } from './step-times.js';

export interface ControllerOptions {
  /** Drafts that may rest on unverified drafts. */
  draftLength: number;
  /** Below this chance to be of use nothing more is drafted. */
  draftFloor: number;
  /** See `DecodeCosts`. */
  cloudPrice: number;
  /** Whether a second continuation may be drafted while verdicts are out. */
  branches: boolean;
  /** Whether an exit that is not sure may draft where that pays; without it only the policy chooses the exit. */
  draftsEarly: boolean;
}

/** What the loop knows of the moment and the controller does not. */
export interface Moment {
  ledger: Ledger;
  /** Whether any draft may be made at all, and whether the ledger has room for it. */
  canDraft: boolean;
  cloud: 'there' | 'away';
  canSend: boolean;
  /** Ledger length at which the output is full. */
  endLength: number;
  eosTokenIds: ReadonlySet<number>;
}

/** Measures what drafts, links and servers are worth in this session, and says what to do next. */
export class Controller {
  readonly acceptance: Acceptance;
  readonly times = new StepTimes();
  readonly #options: ControllerOptions;
  readonly #meter: LinkMeter | undefined;

  constructor(options: ControllerOptions, acceptance: Acceptance, meter: LinkMeter | undefined) {
    this.acceptance = acceptance;
    this.#options = options;
    this.#meter = meter;
  }

  /** Whether a draft of the exit at `depth` is better taken as it is than asked about in deeper stages. */
  isWorthDrafting(depth: number, margin: number): boolean {
    if (!this.#options.draftsEarly || this.#meter?.roundTripMs === undefined) return false;
    return this.acceptance.chance(depth, margin) >= draftThreshold(this.costs(depth));
  }

  /** What is measured so far; times that were not measured yet count as 0. */
  costs(depth = 0): DecodeCosts {
    return {
      draftMs: this.times.draftMs,
      deeperMs: this.times.deeperMs(depth),
      rescueShare: this.acceptance.rescueShare,
      roundTripMs: this.#meter?.roundTripMs ?? 0,
      forwardMs: this.#meter?.forwardMs ?? 0,
      cloudPrice: this.#options.cloudPrice,
    };
  }

  /** Whether a prompt's rows had better go up as token ids, which are shorter by `savedBytes` each. */
  tokensPay(savedBytes: number): boolean {
    if (!this.#meter) return false;
    const { upBytesPerMs } = this.#meter;
    return tokensPay({ savedBytes, upBytesPerMs, makeMsPerRow: this.times.prefillMsPerRow });
  }

  next(moment: Moment): Action {
    const { ledger, cloud } = moment;
    const unsettled = ledger.length - ledger.settled;
    const costs = this.costs();
    const unsent = unsentDrafts(ledger);
    return nextAction({
      canDraft: moment.canDraft && this.#mayGrow(moment, unsettled, ledger.tokenAt(ledger.length - 1)),
      mainChance: chanceOf(ledger, ledger.settled, ledger.length),
      branchChance: this.#branchChance(moment),
      canSend: cloud === 'there' && moment.canSend && unsent > 0,
      // The prompt goes up at once: its rows are many, and the first token is what people wait for.
      unsentChance: ledger.sent < ledger.promptLength ? 0 : chanceOf(ledger, ledger.sent + 1, ledger.length),
      sendThreshold: sendThreshold(costs),
      draftFloor: Math.max(this.#options.draftFloor, moment.cloud === 'away' ? 0 : draftFloor(costs)),
    });
  }

  /** The position where a branch is likeliest to be of use: where the first wrong draft is expected. */
  forkPosition(ledger: Ledger): number | undefined {
    let position: number | undefined;
    let highest = 0;
    for (let at = ledger.settled; at < ledger.length; at++) {
      const chance = firstWrongChance(ledger, at);
      if (chance <= highest) continue;
      highest = chance;
      position = at;
    }
    return position;
  }

  /** Learns from what a verdict said of drafts. */
  judged(change: LedgerChange, { tokens }: Messages['verdict']): void {
    if (change.kind === 'ignored') return;
    for (const { entry, isRight } of change.judged) {
      if (entry.origin.kind !== 'exit') continue;
      this.acceptance.judged(entry.origin.stage, entry.margin, isRight);
      this.#compare(entry, isRight ? entry.token : tokens.at(-1));
      if (!isRight) this.acceptance.mismatched(entry.second === tokens.at(-1));
    }
  }

  /** The exit before would have drafted another token, or the same: was it worth going deeper? */
  #compare({ earlier, token }: LedgerEntry, right: number | undefined): void {
    if (!earlier) return;
    const wasRight = earlier.token === right;
    this.acceptance.judged(earlier.stage, earlier.margin, wasRight);
    this.acceptance.wentDeeper(wasRight, token === right);
  }

  #branchChance(moment: Moment): number {
    const { ledger } = moment;
    const { branches, draftLength } = this.#options;
    if (!branches || draftLength === 0 || !moment.canDraft || moment.cloud === 'away') return 0;
    const { branch } = ledger;
    if (!branch) {
      const at = this.forkPosition(ledger);
      // A branch begins with a token of its own, and is opened in order to draft one behind it.
      return at === undefined || at + 1 >= moment.endLength
        ? 0
        : firstWrongChance(ledger, at) * this.acceptance.secondChance;
    }
    const isOpen = this.#mayGrow(moment, branch.length - branch.at, branch.entries.at(-1)?.token, branch.length);
    return isOpen ? firstWrongChance(ledger, branch.at) * this.acceptance.secondChance * branch.chance : 0;
  }

  /** Nothing follows the end of the text, should the draft of it prove right. */
  #mayGrow(moment: Moment, unsettled: number, last: number | undefined, length = moment.ledger.length): boolean {
    if (length >= moment.endLength) return false;
    if (unsettled > 0 && last !== undefined && moment.eosTokenIds.has(last)) return false;
    return unsettled <= (moment.cloud === 'away' ? 0 : this.#options.draftLength);
  }
}

/** The chance that all unverified drafts of `[from, to)` are right, by what their exits gave them; 1 without any. */
export function chanceOf(ledger: Ledger, from: number, to: number): number {
  let chance = 1;
  for (let position = from; position < to; position++) chance *= ledger.entryAt(position)?.probability ?? 1;
  return chance;
}

/** The chance that all drafts before `at` are right and the one there is not. */
function firstWrongChance(ledger: Ledger, at: number): number {
  const entry = ledger.entryAt(at);
  if (entry?.state !== 'unverified' || entry.second === entry.token) return 0;
  return chanceOf(ledger, ledger.settled, at) * (1 - entry.probability);
}

/** Drafts that wait for a verdict nobody was asked for yet. */
function unsentDrafts(ledger: Ledger): number {
  let count = 0;
  for (let position = Math.max(ledger.sent + 1, ledger.settled); position < ledger.length; position++) {
    if (ledger.entryAt(position)?.state === 'unverified') count++;
  }
  return count;
}
