import {
  assert,
  ChainEngine,
  type Clock,
  type EngineInfo,
  type Stage,
  type StageBatch,
  type StageModel,
  TandemError,
} from '@tandem/shared';
import {
  advance,
  CONTEXT_LENGTH,
  DEVICE_STAGES,
  exitLogits,
  finalLogits,
  initialStates,
  inputOf,
  rowOf,
  STAGES,
  VOCABULARY,
  WIDTH,
} from './hash-chain.js';

export const CHAIN_INFO: EngineInfo = {
  model: 'a'.repeat(64),
  format: 'f32',
  width: WIDTH,
  vocabularySize: VOCABULARY,
  contextLength: CONTEXT_LENGTH,
  stages: STAGES,
  deviceStages: DEVICE_STAGES,
};

/** So many of the next runs of a stage fail, as when the runtime is out of memory. */
export interface Mishap {
  failures: number;
}

/** The production engine on stages of the hash chain, `slots` sessions at a time. */
export function hashChainEngine(
  accuracy: readonly number[],
  clock: Clock,
  mishap: Mishap,
  slots?: number,
): ChainEngine {
  const model = async (index: number) => hashStageModel(index, accuracy[index] ?? 1, mishap);
  if (slots === undefined) return new ChainEngine(CHAIN_INFO, model, clock);
  const from = { singles: 2, verifies: 3 };
  const info = { ...CHAIN_INFO, batch: { slots, from, gain: from, why: 'simulated' } };
  return new ChainEngine(info, model, clock, { of: async () => hashBatch(slots), dispose: async () => {} });
}

/** Stages have nothing in common that a run together could mix up; what it could, above them, is the production code's. */
function hashBatch(slots: number): StageBatch {
  return {
    slots,
    forward: async (calls) => {
      const settled = await Promise.allSettled(calls.map(({ stage, input, wanted }) => stage.forward(input, wanted)));
      return settled.map((call) => (call.status === 'fulfilled' ? call.value : (call.reason as Error)));
    },
    dispose: async () => {},
  };
}

function hashStageModel(index: number, accuracy: number, mishap: Mishap): StageModel {
  return {
    width: WIDTH,
    vocabularySize: VOCABULARY,
    hasHead: true,
    kvBytesPerPosition: 4,
    open: (capacity) => hashStage(index, accuracy, capacity, mishap),
    dispose: async () => {},
  };
}

/** Its KV cache is the list of states, `(length, STAGES - index)`. */
function hashStage(index: number, accuracy: number, capacity: number, mishap: Mishap): Stage {
  let cache: number[][] = [];
  const logitsAfter = (states: readonly number[]) =>
    index === STAGES - 1 ? finalLogits(states[0]!) : exitLogits(index, states.at(-1)!, accuracy);
  return {
    capacity,
    get length() {
      return cache.length;
    },
    async forward(input, wanted) {
      const inputs = input.kind === 'tokens' ? [...input.tokens] : rowInputs(input.rows);
      if (cache.length + inputs.length > capacity) throw new TandemError('CONTEXT_TOO_LONG', 'the stage is full');
      if (mishap.failures > 0) {
        mishap.failures--;
        throw new TandemError('ENGINE_FAILED', 'the stage failed, as the simulation wanted');
      }
      const first = cache.length;
      const rows = new Float32Array(inputs.length * WIDTH);
      for (const [i, value] of inputs.entries()) {
        const states = advance(index, cache.at(-1) ?? initialStates(index), value);
        cache.push(states);
        rows.set(rowOf(states[0]!), i * WIDTH);
      }
      const logits = new Float32Array(wanted.length * VOCABULARY);
      wanted.forEach((offset, i) => {
        logits.set(logitsAfter(cache[first + offset]!), i * VOCABULARY);
      });
      return { rows, logits };
    },
    truncate(length) {
      assert(length >= 0 && length <= cache.length, `truncate to ${length} of ${cache.length}`);
      cache.length = length;
    },
    copyTail(from) {
      const states = Uint32Array.from(cache.slice(from).flat());
      return { from, count: cache.length - from, keys: [new Float32Array(states.buffer)], values: [] };
    },
    appendTail({ from, count, keys }) {
      assert(from === cache.length, `a tail from ${from} behind ${cache.length}`);
      // The bits of states, not numbers; one row of them per position.
      const states = new Uint32Array(keys[0]!.buffer);
      const each = STAGES - index;
      for (let i = 0; i < count; i++) cache.push([...states.subarray(i * each, (i + 1) * each)]);
    },
    dispose() {
      cache = [];
    },
  };
}

/** `(n, WIDTH)` to n numbers. */
function rowInputs(rows: Float32Array): number[] {
  return Array.from({ length: rows.length / WIDTH }, (_, i) => inputOf(rows, i * WIDTH));
}
