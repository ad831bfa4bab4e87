import { EOS, mix, SPACE, VOCABULARY } from './hash-chain.js';

/** As it stands in the origin of its tokens. */
export const LARGER_MODEL = 'larger-hash-chain';

/** A word has so many letters on average, and a text so many tokens. */
const WORD_LETTERS = 4;
const TEXT_TOKENS = 40;

/**
 * The larger model: a hash of the whole text, which knows nothing of stages or rows. Each token depends on all before it and on
 * nothing else, so that it can be judged alone, wherever its passage began.
 */
export function largerState(tokens: readonly number[], before = 0): number {
  return tokens.reduce((state, token) => mix(state, token + 1), before);
}

/** What it writes behind a text; EOS where it ends it. */
export function largerToken(state: number, hasEos: boolean): number {
  const luck = mix(state, 4242);
  if (hasEos && luck % TEXT_TOKENS === 0) return EOS;
  if ((luck >>> 8) % WORD_LETTERS === 0) return SPACE;
  return SPACE + 1 + ((luck >>> 12) % (VOCABULARY - SPACE - 1));
}
