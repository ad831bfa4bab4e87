import type { Manifest } from '@tandem/shared';
import { CONTEXT_LENGTH, DEVICE_STAGES, EOS, SPACE, VOCABULARY, WIDTH } from './hash-chain.js';
import { CHAIN_INFO } from './hash-stage-model.js';

const FIRST_CHARACTER = 'a'.charCodeAt(0);
const letterOf = (token: number) => (token === SPACE ? ' ' : String.fromCharCode(FIRST_CHARACTER + token));
const tokenOf = (letter: string) => (letter === ' ' ? SPACE : letter.charCodeAt(0) - FIRST_CHARACTER);
/** One character a token; one of them stands between words, which a larger model writes whole. */
export const TOKENIZER = {
  encode: (text: string) => [...text].map(tokenOf),
  decode: (tokens: readonly number[]) => tokens.map(letterOf).join(''),
};

/** The hash chain as a bundle would describe it. */
export function manifestOf(hasEos: boolean): Manifest {
  const file = { file: 'x', bytes: 0, sha256: 'a'.repeat(64) };
  const stage = (index: number, head: 'exit' | 'model') =>
    ({ from: index, to: index + 1, input: index === 0 ? 'tokens' : 'rows', head, files: { f32: file } }) as const;
  return {
    version: 1,
    name: 'hash-chain',
    architecture: 'llama',
    fingerprint: CHAIN_INFO.model,
    width: WIDTH,
    layers: 3,
    heads: 1,
    kvHeads: 1,
    headDim: 2,
    feedForward: 1,
    vocabularySize: VOCABULARY,
    contextLength: CONTEXT_LENGTH,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
    tiedHead: true,
    bosTokenId: null,
    eosTokenIds: hasEos ? [EOS] : [],
    exits: [1, 2],
    cut: DEVICE_STAGES,
    formats: ['f32'],
    stages: [stage(0, 'exit'), stage(1, 'exit'), stage(2, 'model')],
    tokenizer: [file],
  };
}
