export { encodeContinuation, textOf } from './continuation.js';
export { TextStream } from './text-stream.js';
export { loadTokenizer, type Tokenizer, type TokenizerSplitting, tokenizerPatterns } from './tokenizer.js';
