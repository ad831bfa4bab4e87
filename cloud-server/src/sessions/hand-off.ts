import { assert, type Choice, limits, NO_DRAFT, type SamplingSettings } from '@tandem/shared';
import type { LargerModel } from '../larger-model/larger-model.js';
import type { Passage } from '../larger-model/passage.js';
import type { Forward } from './forward.js';

/** A passage in the making, from position `start` on. */
interface OpenPassage {
  passage: Passage;
  start: number;
  /** What the device was given so far. */
  tokens: number[];
  sampling: SamplingSettings;
}

/**
 * When a session's text goes to the larger model and when it comes back, by what the small model thinks of each row.
 * Knows the text as token ids, which come along with the rows.
 *
 * A passage is bound to its tokens, not to an epoch or a connection: who asks within it with the same text gets the
 * same tokens again, who asks at its end the next ones. Whatever else is asked for, another text or a later row since an
 * exit was sure, ends it. So a link that loses messages changes nothing.
 */
export class HandOff {
  readonly #model: LargerModel;
  readonly #capacity: number;
  readonly #tokens: number[] = [];
  /** `[row]`: the small model's entropy, behind the prompt. */
  readonly #entropies: (number | undefined)[] = [];
  /** First row whose entropy counts: the first that was judged, or the first behind a passage. */
  #since = Number.POSITIVE_INFINITY;
  /** Row at which that was decided: with another text up to there it is void. */
  #decidedAt = Number.POSITIVE_INFINITY;
  #open: OpenPassage | undefined;

  constructor(model: LargerModel, capacity: number) {
    this.#model = model;
    this.#capacity = capacity;
  }

  get model(): string {
    return this.#model.name;
  }

  /**
   * Takes the text of a forward in, before its rows run. Returns what to ask of them: the client's wants, and beside
   * them the rows behind the prompt that nobody wants, such as those of a passage. All of them count: else the text
   * would depend on how rows were grouped.
   */
  read({ from, tokens, want, drafts }: Forward): Pick<Forward, 'want' | 'drafts'> {
    this.#append(from, tokens, want[0] ?? from + tokens.length - 1);
    const scores = this.#unknownRows(
      Math.max(from, Math.min(this.#since, want[0] ?? this.#since)),
      from + tokens.length,
    );
    if (scores.length === 0) return { want, drafts };
    const rows = [...new Set([...scores, ...want])].sort((a, b) => a - b);
    const draftOf = new Map(want.map((row, index) => [row, drafts[index]]));
    return { want: rows, drafts: rows.map((row) => draftOf.get(row) ?? NO_DRAFT) };
  }

  /**
   * Rows that come again change nothing; from the first token on that is another one, all is forgotten. Behind the first row
   * that is asked about stand guesses of the device: they say nothing of what it was told, and end no passage.
   */
  #append(from: number, tokens: readonly number[], asked: number): void {
    assert(from <= this.#tokens.length, `tokens from ${from}, ${this.#tokens.length} are there`);
    const index = tokens.findIndex((token, offset) => this.#tokens[from + offset] !== token);
    const changed = index < 0 ? Number.POSITIVE_INFINITY : from + index;
    if (index >= 0) this.#tokens.splice(changed, Number.POSITIVE_INFINITY, ...tokens.slice(index));
    this.#entropies.length = Math.min(this.#entropies.length, changed);
    const isOtherText = changed <= asked;
    if (isOtherText && changed <= this.#decidedAt) this.#since = Number.POSITIVE_INFINITY;
    if (this.#open && ((isOtherText && changed < this.#open.start) || !this.#isToldTo(asked, this.#open))) this.close();
  }

  /** Whether the text up to position `end` has in it what was told of the passage: a guess may have become final elsewhere. */
  #isToldTo(end: number, { start, tokens }: OpenPassage): boolean {
    const told = tokens.slice(0, Math.max(0, end + 1 - start));
    return told.every((token, offset) => (this.#tokens[start + offset] ?? token) === token);
  }

  /** Rows of `[from, end)` whose entropy is not known yet; the last ones of many, since each costs a row of logits. */
  #unknownRows(from: number, end: number): number[] {
    const first = Math.max(from, end - limits.FORWARD_WANTS_MAX);
    const rows = Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
    return rows.filter((row) => this.#entropies[row] === undefined);
  }

  /**
   * The first wanted row whose next token is the larger model's to choose; undefined where all are the small one's.
   * `choices`: of all rows that `read` asked about.
   */
  judge(choices: readonly Choice[], want: readonly number[], sampling: SamplingSettings): number | undefined {
    for (const { row, evidence } of choices) this.#entropies[row] = evidence.entropy;
    for (const { row } of choices) {
      if (!want.includes(row) || this.#comesBefore(row, sampling)) continue;
      if (this.#goesOn(row, sampling) || this.#goesOver(row, sampling)) return row;
    }
    return undefined;
  }

  /** Whether the device has heard nothing of this passage yet. */
  get isNew(): boolean {
    return this.#open?.tokens.length === 0;
  }

  /** The larger model's tokens behind `row`; none: the small model is to go on, or the signal was aborted. */
  async write(row: number, signal: AbortSignal): Promise<number[]> {
    const open = this.#open;
    if (!open) return [];
    const known = open.tokens.slice(row + 1 - open.start);
    if (known.length > 0) return known;
    const count = Math.min(limits.PASSAGE_TOKENS_MAX, this.#capacity - (row + 1));
    const tokens = await open.passage.take(count, signal);
    open.tokens.push(...tokens);
    if (tokens.length === 0 && !signal.aborted) this.#close(row);
    return tokens;
  }

  /** Nobody waits for the rest. */
  close(): void {
    this.#open?.passage.close();
    this.#open = undefined;
  }

  /** Rows in front of a passage are asked for again when the answer was lost; they were not doubted then. */
  #comesBefore(row: number, sampling: SamplingSettings): boolean {
    return this.#open !== undefined && row < this.#open.start - 1 && isSame(sampling, this.#open.sampling);
  }

  #goesOn(row: number, sampling: SamplingSettings): boolean {
    if (!this.#open) return false;
    const { start, tokens, passage } = this.#open;
    const last = start + tokens.length - 1;
    const isWithin = row >= start - 1 && row <= last && isSame(sampling, this.#open.sampling);
    if (isWithin && row < last) return true;
    const hasNext = !passage.isOver && row + 1 < this.#capacity;
    if (isWithin && hasNext && !this.#model.policy.handsBack(this.#recent(start, row))) return true;
    this.#close(row);
    return false;
  }

  #goesOver(row: number, sampling: SamplingSettings): boolean {
    if (this.#since === Number.POSITIVE_INFINITY) this.#countFrom(row, row);
    if (row + 1 >= this.#capacity || !this.#model.isAvailable) return false;
    if (!this.#model.policy.handsOver(this.#recent(this.#since, row))) return false;
    const passage = this.#model.begin(this.#tokens.slice(0, row + 1), sampling);
    if (passage) this.#open = { passage, start: row + 1, tokens: [], sampling };
    return passage !== undefined;
  }

  /** The small model goes on at `row`, and gets some rows before it is doubted again. */
  #close(row: number): void {
    this.close();
    this.#countFrom(row + 1, row);
  }

  #countFrom(since: number, decidedAt: number): void {
    this.#since = since;
    this.#decidedAt = decidedAt;
  }

  #recent(first: number, row: number): number[] {
    const from = Math.max(first, row + 1 - this.#model.policy.span);
    return Array.from({ length: Math.max(0, row + 1 - from) }, (_, index) => this.#entropies[from + index] ?? 0);
  }
}

function isSame(one: SamplingSettings, other: SamplingSettings): boolean {
  return (Object.keys(one) as (keyof SamplingSettings)[]).every((name) => one[name] === other[name]);
}
