import { assert, type Choice } from '@tandem/shared';
import type { RealHeads } from './real-heads.js';
import { ROOT, TokenTrie } from './token-trie.js';

/**
 * The real model's choices, remembered: each text is put to it once, however many runs come past it. One model in one
 * codec under one sampling.
 */
export class ReplayModel {
  readonly trie: TokenTrie;
  readonly #heads: RealHeads;

  constructor(heads: RealHeads, trie = new TokenTrie()) {
    this.#heads = heads;
    this.trie = trie;
  }

  node(tokens: readonly number[]): number {
    return tokens.reduce((node, token) => this.trie.child(node, token), ROOT);
  }

  /** What the head of `stage` chooses after the text of `node`; a promise only where the real model has to be asked. */
  choice(node: number, stage: number): Choice | Promise<Choice> {
    const known = this.trie.choices(node);
    return known ? headOf(known[stage], stage) : this.#ask(node, stage);
  }

  async #ask(node: number, stage: number): Promise<Choice> {
    const choices = await this.#heads.choose(this.trie.path(node));
    this.trie.setChoices(node, choices);
    return headOf(choices[stage], stage);
  }
}

function headOf(choice: Choice | undefined, stage: number): Choice {
  assert(choice, `stage ${stage} has no head`);
  return choice;
}
