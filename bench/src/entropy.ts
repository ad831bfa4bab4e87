/**
 * How unsure is a model of its own stories? For choosing `--larger-model-ceiling` and `--larger-model-floor`: quantiles of the
 * entropy behind each token, and of its mean over the 8 tokens that the server looks at.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { EdgeModel } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { type ChainEngine, generateUnsplit, type SamplingSettings } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { currentCommit, describeMachine, formatColumns } from './report.js';

export interface EntropyOptions {
  json?: boolean;
  prompts?: number;
  tokens?: number;
  temperature?: number;
  seed?: number;
}

const TALES = fileURLToPath(new URL('../../models/tales', import.meta.url));
const FORMAT = 'q8';
/** As in the server's hand-off policy. */
const WINDOW_TOKENS = 8;
const QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

export async function benchEntropy(options: EntropyOptions): Promise<void> {
  const { prompts = 20, tokens = 60, temperature = 0.8, seed = 1 } = options;
  const directory = await cachedBundle(TALES, { exits: [2, 4], cut: 4, formats: ['f32', 'q8'] });
  const { tokenizer, manifest, ...model } = await loadModel(directory);
  const engine = await loadChainEngine({ directory, format: FORMAT, threads: undefined, preload: 'all' });
  const openings = (await readFile(`${TALES}/openings.txt`, 'utf8')).trim().split('\n').slice(0, prompts);
  const sampling = { temperature, topK: 0, topP: 1, minP: 0, seed };
  const single: number[] = [];
  const rolling: number[] = [];
  for (const opening of openings) {
    const prompt = tokenizer.encode(opening);
    const { eosTokenIds } = manifest;
    const story = await generateUnsplit(engine, {
      prompt,
      maxOutputTokens: tokens,
      sampling,
      codec: 'f16',
      eosTokenIds,
    });
    const entropies = await entropiesOf(engine, [...prompt, ...story], prompt.length, sampling);
    single.push(...entropies);
    for (let end = WINDOW_TOKENS; end <= entropies.length; end++)
      rolling.push(mean(entropies.slice(end - WINDOW_TOKENS, end)));
  }
  await engine.dispose();
  await model.dispose();
  const rows = QUANTILES.map((quantile) => ({ quantile, token: at(single, quantile), mean: at(rolling, quantile) }));
  if (!options.json) {
    const table = rows.map((row) => [`${row.quantile * 100} %`, String(row.token), String(row.mean)]);
    process.stdout.write(`${formatColumns([['quantile', 'one token', `mean of ${WINDOW_TOKENS}`], ...table])}\n`);
  }
  const setting = { format: FORMAT, prompts: openings.length, tokens, temperature, seed };
  const place = { machine: describeMachine(), commit: currentCommit() };
  process.stdout.write(`${JSON.stringify({ bench: 'entropy', unit: 'nats', ...setting, rows, ...place })}\n`);
}

async function loadModel(directory: string) {
  const model = await EdgeModel.load(directory, { format: FORMAT });
  return { tokenizer: model.tokenizer, manifest: model.manifest, dispose: () => model.dispose() };
}

/** The whole model's entropy behind each token of the story, the last one apart. */
async function entropiesOf(
  engine: ChainEngine,
  tokens: readonly number[],
  promptLength: number,
  sampling: SamplingSettings,
): Promise<number[]> {
  const session = 'entropy';
  const { stages } = engine.info;
  await engine.open({ session, firstStage: 0, endStage: stages, capacity: tokens.length, codec: 'f16' });
  const want = Array.from({ length: tokens.length - promptLength }, (_, index) => promptLength - 1 + index);
  const input = { kind: 'tokens' as const, tokens: Int32Array.from(tokens) };
  const { choices } = await engine.step({ session, from: 0, input, depth: stages, want, drafts: [], sampling });
  await engine.close(session);
  return choices.map(({ evidence }) => evidence.entropy);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function at(numbers: readonly number[], quantile: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!.toFixed(2));
}
