import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FORMATS, type Format, TandemError } from '@tandem/shared';
import type { ModelDescription } from '../architectures/architecture.js';
import { findArchitecture } from '../architectures/registry.js';
import { tensorNames, tensorShape } from '../checkpoint.js';
import { BLOCK_SIZES } from '../quantise.js';

/** What a bundle of a model would be, told from its config alone. */
export interface Estimate {
  architecture: string;
  layers: number;
  width: number;
  weights: number;
  contextLength: number;
  /** Suggested: a third of the layers on the device, exits at its half and its end. */
  cut: number;
  exits: number[];
  /** Positions that the KV caches are counted for. */
  context: number;
  /** Bytes by weight format: weights as stored and one session’s KV cache. Loaded f16 weights take those of f32. */
  formats: Record<Format, { deviceBytes: number; serverBytes: number }>;
}

/** Bytes of one number of a matrix; quantised blocks carry an f32 scale. */
const MATRIX_BYTES: Record<Format, number> = {
  f32: 4,
  f16: 2,
  q8: 1 + 4 / BLOCK_SIZES[8],
  q4: 0.5 + 4 / BLOCK_SIZES[4],
};

/** @throws TandemError CHECKPOINT_INVALID, UNSUPPORTED_ARCHITECTURE */
export async function readEstimate(folder: string, context?: number): Promise<Estimate> {
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch((cause: unknown) => {
    throw new TandemError('CHECKPOINT_INVALID', `no config.json in ${folder}; name a checkpoint folder`, { cause });
  });
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new TandemError('CHECKPOINT_INVALID', 'config.json is not JSON', { cause });
  }
  const architecture = findArchitecture(config);
  return estimate(architecture.modelType, architecture.describe(config), context);
}

export function estimate(architecture: string, model: ModelDescription, wanted?: number): Estimate {
  const { shape } = model;
  const context = Math.min(wanted ?? 4_096, shape.contextLength);
  const cut = Math.max(1, Math.round(shape.layers / 3));
  const exits = [...new Set([Math.max(1, Math.round(cut / 2)), cut])];
  const kvBytesPerLayer = 2 * context * shape.kvHeads * shape.headDim * 4;
  const formats = Object.fromEntries(
    FORMATS.map((format) => {
      const device = tensorBytes(model, format, 0, cut) + exits.length * headBytes(model, format);
      const server = tensorBytes(model, format, cut, shape.layers) + headBytes(model, format);
      const deviceBytes = Math.round(device + cut * kvBytesPerLayer);
      return [format, { deviceBytes, serverBytes: Math.round(server + (shape.layers - cut) * kvBytesPerLayer) }];
    }),
  ) as Estimate['formats'];
  const { layers, width, contextLength } = shape;
  return { architecture, layers, width, weights: countWeights(model), contextLength, cut, exits, context, formats };
}

function countWeights(model: ModelDescription): number {
  return tensorNames({ ...model, fittedExits: [] })
    .map((name) => numbersOf(model, name))
    .reduce((sum, numbers) => sum + numbers, 0);
}

/** Layers `[from, to)`, and the embedding where they begin; norms and biases are too small to matter. */
function tensorBytes(model: ModelDescription, format: Format, from: number, to: number): number {
  let bytes = 0;
  for (const name of tensorNames({ ...model, fittedExits: [] })) {
    const layer = /^layers\.(\d+)\./.exec(name)?.[1];
    if (layer !== undefined && Number(layer) >= from && Number(layer) < to)
      bytes += numbersOf(model, name) * MATRIX_BYTES[format];
    if (from === 0 && name === 'embedding') bytes += numbersOf(model, name) * (format === 'f32' ? 4 : 2);
  }
  return bytes;
}

function headBytes({ shape }: ModelDescription, format: Format): number {
  return shape.vocabularySize * shape.width * MATRIX_BYTES[format];
}

function numbersOf({ shape, arithmetic }: ModelDescription, name: Parameters<typeof tensorShape>[0]): number {
  return tensorShape(name, shape, arithmetic).reduce((product, size) => product * size, 1);
}
