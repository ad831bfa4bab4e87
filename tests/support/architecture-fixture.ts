import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SafetensorsFile } from '@tandem/model-kit';

const FOLDER = fileURLToPath(new URL('../fixtures/architectures/', import.meta.url));

/** A tiny checkpoint and what Hugging Face `transformers` computes with it (tests/fixtures/make-architectures.py). */
export interface ArchitectureFixture {
  directory: string;
  tokens: Int32Array; // (40)
  logits: Float32Array; // (40, vocabulary)
}

export const FIXTURE_NAMES = readdirSync(FOLDER).sort();

export const FIXTURE_POSITIONS = 40;

export async function readFixture(name: string): Promise<ArchitectureFixture> {
  const directory = join(FOLDER, name);
  const file = await SafetensorsFile.open(join(directory, 'expected.safetensors'));
  try {
    const tokens = Int32Array.from(await file.read('tokens', [FIXTURE_POSITIONS]));
    return { directory, tokens, logits: await file.read('logits', file.shapeOf('logits')!) };
  } finally {
    await file.close();
  }
}
