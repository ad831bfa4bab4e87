/** Parts of the benchmarks for Tandem's own tests (`@tandem/bench/testing`). No promise of stability. */
export { type Bar, barsOf } from './decode/bars.js';
export { breakEvenOf } from './decode/break-even.js';
export { BusyLog, idleMs } from './decode/busy-log.js';
export { tellCeCollm } from './decode/ce-collm.js';
export { tellCoLocated } from './decode/co-located.js';
export { parseDecodeFlags } from './decode/decode-options.js';
export { RealHeads } from './decode/real-heads.js';
export { ReplayEngine } from './decode/replay-engine.js';
export { ReplayModel } from './decode/replay-model.js';
export { type DecodeRow, percentile, rowOf, withRatios } from './decode/row.js';
export type { Telling } from './decode/telling.js';
export { TokenTrie } from './decode/token-trie.js';
export type { VirtualSetting } from './decode/virtual-place.js';
export { tellInSession } from './decode/virtual-session.js';
export { tokenCosts } from './server/witness.js';
