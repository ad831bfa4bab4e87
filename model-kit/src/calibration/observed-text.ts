import type { Choice } from '@tandem/shared';

/** What the exits and the whole model say about one text: all that a policy can be judged by, collected once. */
export interface ObservedText {
  /** The token that the whole model chooses for each of the n positions, greedily. */
  truth: readonly number[];
  /** `exits[e][i]`: what exit e, the first one first, says about position i. */
  exits: readonly (readonly ExitWord[])[];
}

export type ExitWord = Pick<Choice, 'evidence' | 'rowSimilarity'>;

/** Consecutive parts of at most `tokens` positions. */
export function cutIntoBlocks({ truth, exits }: ObservedText, tokens: number): ObservedText[] {
  return Array.from({ length: Math.ceil(truth.length / tokens) }, (_, block) => {
    const part = <Item>(items: readonly Item[]) => items.slice(block * tokens, (block + 1) * tokens);
    return { truth: part(truth), exits: exits.map(part) };
  });
}

/** How a text, or a block of one, fared under a policy. */
export interface TextLoss {
  /** Tokens that were settled on the device and are not the whole model's choice. */
  wrong: number;
  /** All tokens of the text, whoever settled them. */
  tokens: number;
}
