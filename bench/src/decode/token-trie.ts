import type { Choice } from '@tandem/shared';

/** Token ids stay below this, so that a child's key is one safe integer. */
const TOKEN_IDS_MAX = 2 ** 20;

/** Node 0: no token. Its children are first tokens. */
export const ROOT = 0;

/**
 * Token prefixes as a tree: node = a text so far. A row of a model depends on exactly that, so what its heads choose is a
 * property of the node.
 */
export class TokenTrie {
  readonly #parents: number[] = [-1];
  readonly #tokens: number[] = [-1];
  /** Of each node, by stage; undefined until somebody asked. */
  readonly #choices: (Choices | undefined)[] = [undefined];
  readonly #children = new Map<number, number>();

  get size(): number {
    return this.#parents.length;
  }

  /** Makes the child if there is none yet. */
  child(node: number, token: number): number {
    const key = node * TOKEN_IDS_MAX + token;
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const child = this.#parents.push(node) - 1;
    this.#tokens.push(token);
    this.#choices.push(undefined);
    this.#children.set(key, child);
    return child;
  }

  parent(node: number): number {
    return this.#parents[node]!;
  }

  choices(node: number): Choices | undefined {
    return this.#choices[node];
  }

  setChoices(node: number, choices: Choices): void {
    this.#choices[node] = choices;
  }

  /** Tokens from the first to this node's. */
  path(node: number): number[] {
    const tokens: number[] = [];
    for (let at = node; at !== ROOT; at = this.parent(at)) tokens.push(this.#tokens[at]!);
    return tokens.reverse();
  }

  /** For `restore`; only nodes with choices are worth keeping, but their ancestors are needed, so all are kept. */
  save(): SavedTrie {
    return { parents: this.#parents.slice(1), tokens: this.#tokens.slice(1), choices: this.#choices.slice(1) };
  }

  static restore({ parents, tokens, choices }: SavedTrie): TokenTrie {
    const trie = new TokenTrie();
    for (const [index, parent] of parents.entries()) {
      const node = trie.child(parent, tokens[index]!);
      const own = choices[index];
      if (own) trie.setChoices(node, own);
    }
    return trie;
  }
}

/** What the head of each stage chooses after a text; undefined for a stage without a head. */
export type Choices = readonly (Choice | undefined)[];

export interface SavedTrie {
  parents: number[];
  tokens: number[];
  choices: (Choices | undefined)[];
}
