import { createHash } from 'node:crypto';
import {
  type Arithmetic,
  type ExitWeights,
  type LayerTensor,
  type LayerWeights,
  layerTensors,
  llamaArithmetic,
  type ModelShape,
  type ModelWeights,
} from '@tandem/shared';
import type { PublishedLines } from './conversion/convert-lines.js';

/** Every tensor of a model by the path it has in `ModelWeights`. */
export type TensorName =
  | 'embedding'
  | 'positions'
  | 'finalNorm'
  | 'finalNormBias'
  | 'head'
  | `layers.${number}.${LayerTensor}`
  | `exits.${number}.${keyof ExitWeights}`;

export interface CheckpointFile {
  file: string;
  content: Uint8Array;
}

/**
 * A model to prepare, whatever it was read from. Tensors are read one by one, so that a model larger than memory
 * can be prepared.
 */
export interface Checkpoint {
  readonly name: string;
  readonly shape: ModelShape;
  /** `model_type` of its family. Default: llama. */
  readonly architecture?: string;
  /** Default: a Llama's. */
  readonly arithmetic?: Arithmetic;
  /** Whether the head is the embedding. */
  readonly tiedHead: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  /** Layers that have a fitted exit map. */
  readonly fittedExits: readonly number[];
  /** Copied into the bundle as they are. */
  readonly tokenizer: readonly CheckpointFile[];
  /** Row-major f32, in the shape that `tensorShape` gives. */
  read(tensor: TensorName): Promise<Float32Array>;
  /**
   * Lines `[begin, end)` of a matrix as they were published, or undefined for a tensor that is only read whole. Default: none
   * can be read so.
   */
  readLines?(tensor: TensorName, begin: number, end: number): Promise<PublishedLines | undefined>;
  /** What files it was read from, without reading them: the same for as long as none of them changes. */
  readonly identity?: string;
  /** sha256 (hex) of everything that makes this model what it is. */
  fingerprint(signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export type CheckpointSizes = Pick<Checkpoint, 'shape' | 'arithmetic'>;

export function arithmeticOf({ arithmetic, shape }: CheckpointSizes): Arithmetic {
  return arithmetic ?? llamaArithmetic(shape);
}

/** Dimensions of a tensor: `(outputs, inputs)` for matrices, `(width)` for most norms and biases. */
export function tensorShape(tensor: TensorName, shape: ModelShape, arithmetic?: Arithmetic): number[] {
  const { width, feedForward, vocabularySize, headDim } = shape;
  const queries = shape.heads * headDim;
  const keys = shape.kvHeads * headDim;
  const normsWhole = arithmetic?.queryKeyNorm === 'whole';
  switch (tensor.split('.').at(-1)) {
    case 'embedding':
    case 'head':
      return [vocabularySize, width];
    case 'positions':
      return [shape.contextLength, width];
    case 'query':
      return [queries, width];
    case 'key':
    case 'value':
      return [keys, width];
    case 'queryBias':
      return [queries];
    case 'keyBias':
    case 'valueBias':
      return [keys];
    case 'queryNorm':
      return [normsWhole ? queries : headDim];
    case 'keyNorm':
      return [normsWhole ? keys : headDim];
    case 'output':
      return [width, queries];
    case 'gate':
    case 'up':
      return [feedForward, width];
    case 'gateBias':
    case 'upBias':
      return [feedForward];
    case 'down':
      return [width, feedForward];
    case 'weight':
      return [width, width];
    default:
      return [width];
  }
}

/** All tensors of a checkpoint in a fixed order; a tied head is not listed. */
export function tensorNames(checkpoint: CheckpointSizes & Pick<Checkpoint, 'tiedHead' | 'fittedExits'>): TensorName[] {
  const arithmetic = arithmeticOf(checkpoint);
  const parts = layerTensors(arithmetic);
  const names: TensorName[] = ['embedding'];
  if (arithmetic.learnedPositions) names.push('positions');
  for (let layer = 0; layer < checkpoint.shape.layers; layer++)
    for (const part of parts) names.push(`layers.${layer}.${part}`);
  names.push('finalNorm');
  if (arithmetic.norm === 'layer') names.push('finalNormBias');
  if (!checkpoint.tiedHead) names.push('head');
  for (const layer of checkpoint.fittedExits) names.push(`exits.${layer}.weight`, `exits.${layer}.bias`);
  return names;
}

/** Reads a whole checkpoint into memory, as the reference transformer needs it. */
export async function loadWeights(checkpoint: Checkpoint): Promise<ModelWeights> {
  const arithmetic = arithmeticOf(checkpoint);
  const embedding = await checkpoint.read('embedding');
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < checkpoint.shape.layers; layer++) {
    const tensors: Partial<LayerWeights> = {};
    for (const part of layerTensors(arithmetic)) tensors[part] = await checkpoint.read(`layers.${layer}.${part}`);
    layers.push(tensors as LayerWeights);
  }
  const exits = new Map<number, ExitWeights>();
  for (const layer of checkpoint.fittedExits) {
    exits.set(layer, {
      weight: await checkpoint.read(`exits.${layer}.weight`),
      bias: await checkpoint.read(`exits.${layer}.bias`),
    });
  }
  const head = checkpoint.tiedHead ? embedding : await checkpoint.read('head');
  return {
    shape: checkpoint.shape,
    arithmetic,
    embedding,
    ...(arithmetic.learnedPositions && { positions: await checkpoint.read('positions') }),
    layers,
    finalNorm: await checkpoint.read('finalNorm'),
    ...(arithmetic.norm === 'layer' && { finalNormBias: await checkpoint.read('finalNormBias') }),
    head,
    exits,
  };
}

/** What weights in memory need besides, to be a checkpoint. */
export interface CheckpointLabels {
  name: string;
  /** Default null. */
  bosTokenId?: number | null;
  /** Default none. */
  eosTokenIds?: readonly number[];
  /** Default none. */
  tokenizer?: readonly CheckpointFile[];
}

/** Weights in memory as a checkpoint. The head counts as tied when it is the same array as the embedding. */
export function checkpointFromWeights(weights: ModelWeights, labels: CheckpointLabels): Checkpoint {
  const tiedHead = weights.head === weights.embedding;
  const { shape, arithmetic } = weights;
  const parts = { shape, arithmetic, tiedHead, fittedExits: [...weights.exits.keys()].sort((a, b) => a - b) };
  const read = async (tensor: TensorName) => findTensor(weights, tensor);
  return {
    ...parts,
    name: labels.name,
    bosTokenId: labels.bosTokenId ?? null,
    eosTokenIds: labels.eosTokenIds ?? [],
    tokenizer: labels.tokenizer ?? [],
    read,
    async fingerprint() {
      const hash = createHash('sha256').update(JSON.stringify([shape, labels.bosTokenId, labels.eosTokenIds]));
      for (const name of tensorNames(parts)) hash.update(name).update(bytesOf(await read(name)));
      for (const { file, content } of labels.tokenizer ?? []) hash.update(file).update(content);
      return hash.digest('hex');
    },
    async close() {},
  };
}

function findTensor(weights: ModelWeights, tensor: TensorName): Float32Array {
  const [group, index, part] = tensor.split('.') as [string, string?, string?];
  if (group === 'layers') return weights.layers[Number(index)]![part as LayerTensor]!;
  if (group === 'exits') return weights.exits.get(Number(index))![part as keyof ExitWeights];
  return weights[group as 'embedding' | 'positions' | 'finalNorm' | 'finalNormBias' | 'head']!;
}

export function bytesOf(array: Float32Array | Uint16Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
