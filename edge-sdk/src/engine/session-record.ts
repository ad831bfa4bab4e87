import type { CopyRequest, EngineSession, StepRequest, StepResult } from '@tandem/shared';

/** Token ids of a chain, and how far each of its stages has run them. */
interface Line {
  tokens: number[];
  lengths: number[];
}

/**
 * What an engine holds of one session, as far as it can be told from what went in: enough to bring another engine to the
 * same place. It follows shared/src/stage/stage-chain.ts step by step.
 */
export class SessionRecord {
  readonly options: EngineSession;
  #line: Line;
  /** The other continuation, from `from` on. */
  #aside: ({ from: number } & Line) | undefined;

  constructor(options: EngineSession) {
    this.options = options;
    this.#line = { tokens: [], lengths: Array.from({ length: options.endStage - options.firstStage }, () => 0) };
  }

  /** A step that went well. */
  note({ exchange = [], from, input, depth }: StepRequest, { length }: StepResult): void {
    for (const place of exchange) this.#exchange(place);
    this.#truncate(from);
    if (input?.kind === 'tokens') this.#line.tokens.push(...input.tokens);
    for (let stage = 0; stage < depth; stage++) this.#line.lengths[stage] = this.#line.tokens.length;
    this.#truncate(length);
  }

  /** A copy that went well. */
  noteCopy(source: SessionRecord, { length }: Pick<CopyRequest, 'length'>): void {
    this.#line = {
      tokens: source.#line.tokens.slice(0, length),
      lengths: this.#line.lengths.map(() => length),
    };
  }

  /** The steps that lead an engine, which has just opened this session, to where it was. */
  *steps(): Generator<StepRequest> {
    const aside = this.#aside;
    let done: Line = { tokens: [], lengths: this.#line.lengths.map(() => 0) };
    if (aside) {
      const other: Line = {
        tokens: [...this.#line.tokens.slice(0, aside.from), ...aside.tokens],
        lengths: aside.lengths.map((length, i) => Math.max(length, Math.min(this.#line.lengths[i]!, aside.from))),
      };
      yield* this.#advance(done, other);
      yield this.#step(aside.from, [], 0, [aside.from]);
      const lengths = other.lengths.map((length) => Math.min(length, aside.from));
      done = { tokens: other.tokens.slice(0, aside.from), lengths };
    }
    yield* this.#advance(done, this.#line);
  }

  /** From one state of a line to a later one: every stage to its own length, the first ones farthest. */
  *#advance(done: Line, target: Line): Generator<StepRequest> {
    let length = done.tokens.length;
    const ends = [...new Set(target.lengths)].sort((a, b) => a - b);
    for (const end of ends) {
      const depth = target.lengths.filter((stage) => stage >= end).length;
      const isBehind = target.lengths.some((stage, i) => stage >= end && done.lengths[i]! < end);
      if (!isBehind) continue;
      yield this.#step(length, target.tokens.slice(length, end), depth);
      length = Math.max(length, end);
    }
    if (target.tokens.length > length) yield this.#step(length, target.tokens.slice(length), 0);
  }

  #step(from: number, tokens: readonly number[], depth: number, exchange?: number[]): StepRequest {
    return {
      session: this.options.session,
      ...(exchange ? { exchange } : {}),
      from,
      ...(tokens.length > 0 ? { input: { kind: 'tokens' as const, tokens: Int32Array.from(tokens) } } : {}),
      depth,
      want: [],
      drafts: [],
      sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 },
    };
  }

  #exchange(from: number): void {
    const incoming = this.#aside?.from === from ? this.#aside : undefined;
    const { tokens, lengths } = this.#line;
    const outgoing = {
      from,
      tokens: tokens.slice(from),
      lengths: lengths.map((length) => (length > from ? length : 0)),
    };
    this.#truncate(from);
    if (incoming) {
      this.#line.tokens.push(...incoming.tokens);
      this.#line.lengths = this.#line.lengths.map((length, i) => Math.max(length, incoming.lengths[i]!));
    }
    this.#aside = outgoing;
  }

  #truncate(length: number): void {
    if (this.#aside && length < this.#aside.from) this.#aside = undefined;
    this.#line.tokens.length = Math.min(this.#line.tokens.length, length);
    this.#line.lengths = this.#line.lengths.map((stage) => Math.min(stage, length));
  }
}
