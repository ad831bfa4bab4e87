/**
 * How far is each architecture from Hugging Face `transformers`? Tiny checkpoints of random weights with the logits that the
 * library computes (tests/fixtures/make-architectures.py), through the stages of a bundle in f32: 40 tokens at once and one
 * at a time, split at every layer. The largest difference of a logit counts.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareBundle, readCheckpoint, SafetensorsFile } from '@tandem/model-kit';
import { StageChain, type StageModel } from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { currentCommit, describeMachine, formatColumns } from './report.js';

const FIXTURES = fileURLToPath(new URL('../../tests/fixtures/architectures/', import.meta.url));
const POSITIONS = 40;
/** What the tests allow. */
const TOLERANCE = 1e-4;

interface ParityRow {
  fixture: string;
  /** `model_type` */
  architecture: string;
  layers: number;
  /** max |Δlogit|, and of those the standard deviation to compare it with. */
  difference: number;
  logitDeviation: number;
}

export async function benchParity(options: { json?: boolean }): Promise<void> {
  const rows: ParityRow[] = [];
  for (const fixture of (await readdir(FIXTURES)).sort()) rows.push(await compare(fixture));
  const lines = rows.map(({ fixture, architecture, layers, difference, logitDeviation }) => [
    fixture,
    architecture,
    String(layers),
    difference.toExponential(1),
    logitDeviation.toFixed(2),
  ]);
  if (!options.json)
    console.log(formatColumns([['fixture', 'model_type', 'layers', 'max |Δlogit|', 'σ of logits'], ...lines]));
  const place = { machine: describeMachine(), commit: currentCommit() };
  console.log(JSON.stringify({ bench: 'parity', rows, tolerance: TOLERANCE, positions: POSITIONS, ...place }));
}

async function compare(fixture: string): Promise<ParityRow> {
  const directory = join(FIXTURES, fixture);
  const { tokens, logits } = await readExpected(directory);
  const folder = await mkdtemp(join(tmpdir(), 'tandem-parity-'));
  const checkpoint = await readCheckpoint(directory);
  const { architecture = fixture, shape } = checkpoint;
  let difference = 0;
  try {
    for (let cut = 1; cut < shape.layers; cut++) {
      const out = join(folder, String(cut));
      await prepareBundle({ checkpoint, exits: [], cut, formats: ['f32'], out });
      const bundle = await openBundle(out);
      const models = [
        await loadStage(bundle, 0, 'f32', { threads: 1 }),
        await loadStage(bundle, 1, 'f32', { threads: 1 }),
      ];
      for (const rows of [POSITIONS, 1])
        difference = Math.max(difference, largestDifference(await run(models, tokens, rows), logits));
      for (const model of models) await model.dispose();
    }
  } finally {
    await checkpoint.close();
    await rm(folder, { recursive: true });
  }
  return { fixture, architecture, layers: shape.layers, difference, logitDeviation: deviation(logits) };
}

async function readExpected(directory: string): Promise<{ tokens: Int32Array; logits: Float32Array }> {
  const file = await SafetensorsFile.open(join(directory, 'expected.safetensors'));
  try {
    const tokens = Int32Array.from(await file.read('tokens', [POSITIONS]));
    return { tokens, logits: await file.read('logits', file.shapeOf('logits')!) };
  } finally {
    await file.close();
  }
}

/** Logits of all tokens, so many rows at a time. */
async function run(models: readonly StageModel[], tokens: Int32Array, rows: number): Promise<Float32Array> {
  const chain = new StageChain(
    models.map((model) => model.open(tokens.length)),
    models[0]!.width,
  );
  const logits = new Float32Array(tokens.length * models.at(-1)!.vocabularySize);
  for (let start = 0; start < tokens.length; start += rows) {
    chain.append({ kind: 'tokens', tokens: tokens.slice(start, start + rows) });
    const want = Array.from({ length: rows }, (_, row) => start + row);
    logits.set((await chain.run(models.length, want)).logits, start * models.at(-1)!.vocabularySize);
  }
  chain.dispose();
  return logits;
}

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - expected[i]!)), 0);
}

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
