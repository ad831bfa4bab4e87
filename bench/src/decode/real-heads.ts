import type { ChainEngine, Choice, RowCodecName, SamplingSettings } from '@tandem/shared';
import type { Choices } from './token-trie.js';

const SESSION = 'real-heads';

export interface RealHeadsOptions {
  /** With all stages. */
  engine: ChainEngine;
  codec: RowCodecName;
  sampling: SamplingSettings;
  /** `hasHead[i]`: whether stage i ends in a head. */
  hasHead: readonly boolean[];
}

/** Asks the real model, every head of it, what follows a text. Goes on from the text before as far as the two agree. */
export class RealHeads {
  readonly #options: RealHeadsOptions;
  #tokens: readonly number[] = [];
  #isOpen = false;
  #last: Promise<unknown> = Promise.resolve();
  /** Texts asked for. */
  asked = 0;

  constructor(options: RealHeadsOptions) {
    this.#options = options;
  }

  /** One at a time: a chain's calls must not overlap. */
  choose(tokens: readonly number[]): Promise<Choices> {
    const chosen = this.#last.then(() => this.#choose(tokens));
    this.#last = chosen.catch(() => {});
    return chosen;
  }

  async #choose(tokens: readonly number[]): Promise<Choices> {
    const { engine, codec, sampling, hasHead } = this.#options;
    if (!this.#isOpen) {
      const { stages, contextLength } = engine.info;
      await engine.open({ session: SESSION, firstStage: 0, endStage: stages, capacity: contextLength, codec });
      this.#isOpen = true;
    }
    this.asked++;
    // The last row has to run anew even if it ran before: logits are only given for rows that do.
    const from = Math.min(commonLength(this.#tokens, tokens), tokens.length - 1);
    this.#tokens = tokens;
    const row = tokens.length - 1;
    const choices: (Choice | undefined)[] = hasHead.map(() => undefined);
    let input = { input: { kind: 'tokens' as const, tokens: Int32Array.from(tokens.slice(from)) } };
    let at = from;
    for (const [stage, has] of hasHead.entries()) {
      if (!has) continue;
      const request = { session: SESSION, from: at, ...input, depth: stage + 1, want: [row], drafts: [], sampling };
      choices[stage] = (await engine.step(request)).choices[0];
      input = {} as typeof input;
      at = tokens.length;
    }
    return choices;
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
