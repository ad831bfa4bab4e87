import { join } from 'node:path';
import { prepareBundle } from '@tandem/model-kit';
import type { ChainEngine, Choice, SamplingSettings } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { type RandomCheckpointOptions, removeFolder, writeRandomCheckpoint } from './random-checkpoint.js';

/** A bundle of random weights, small enough to be made in every test file, and the whole chain of it in this process. */
export interface SmallBundle {
  directory: string;
  engine: ChainEngine;
  /** Encoded rows at the cut of these tokens, in f32. */
  rows(tokens: readonly number[]): Promise<Uint8Array>;
  /** What the whole model chooses after the last of these tokens. */
  choice(tokens: readonly number[], sampling: SamplingSettings): Promise<Choice>;
  remove(): Promise<void>;
}

export interface SmallBundleOptions extends RandomCheckpointOptions {
  /** Sessions whose steps run as one. Default 1. */
  batchSlots?: number;
}

export async function makeSmallBundle(seed = 1, options: SmallBundleOptions = {}): Promise<SmallBundle> {
  const { batchSlots } = options;
  const checkpoint = await writeRandomCheckpoint({ seed, ...options });
  const directory = join(checkpoint, 'bundle');
  await prepareBundle({ checkpoint, out: directory, exits: [1, 2], cut: 2, formats: ['f32'] });
  const engine = await loadChainEngine({ directory, format: 'f32', threads: 1, preload: 'all', batchSlots });
  const { deviceStages, stages, contextLength } = engine.info;
  const run = async (tokens: readonly number[], endStage: number, want: number[], sampling: SamplingSettings) => {
    const session = 'small-bundle';
    await engine.open({ session, firstStage: 0, endStage, capacity: contextLength, codec: 'f32' });
    const input = { kind: 'tokens' as const, tokens: Int32Array.from(tokens) };
    const result = await engine.step({ session, from: 0, input, depth: endStage, want, drafts: [], sampling });
    await engine.close(session);
    return result;
  };
  const greedy = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 0 };
  return {
    directory,
    engine,
    rows: async (tokens) => (await run(tokens, deviceStages, [], greedy)).encodedRows,
    choice: async (tokens, sampling) => (await run(tokens, stages, [tokens.length - 1], sampling)).choices[0]!,
    async remove() {
      await engine.dispose();
      await removeFolder(checkpoint);
    },
  };
}
