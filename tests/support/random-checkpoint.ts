import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelShape, type Random, seededRandom } from '@tandem/shared';

export interface RandomCheckpointOptions {
  shape?: Partial<ModelShape>;
  /** Default true. */
  tiedHead?: boolean;
  /** Layers that get a fitted exit map. Default none. */
  fittedExits?: number[];
  /** Default 1. */
  seed?: number;
  /** Default F32. */
  dtype?: 'F32' | 'F16' | 'BF16';
  /** Replaces fields of `config.json`. */
  config?: Record<string, unknown>;
}

/** Odd on purpose: grouped heads, and no size is a multiple of a quantisation block. */
export const SMALL_SHAPE: ModelShape = {
  width: 72,
  layers: 4,
  heads: 6,
  kvHeads: 2,
  headDim: 12,
  feedForward: 100,
  vocabularySize: 61,
  contextLength: 320,
  ropeTheta: 10_000,
  normEpsilon: 1e-5,
};

/** Writes a checkpoint of random weights in the Hugging Face layout and returns its folder, which the caller removes. */
export async function writeRandomCheckpoint(options: RandomCheckpointOptions = {}): Promise<string> {
  const shape = { ...SMALL_SHAPE, ...options.shape };
  const directory = await temporaryFolder('checkpoint');
  const random = seededRandom(options.seed ?? 1);
  const tensors = modelTensors(shape, options.tiedHead ?? true, random);
  const exits = exitTensors(shape, options.fittedExits ?? [], random);
  const config = { ...configOf(shape, options.tiedHead ?? true), ...options.config };
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tinyTokenizer(shape.vocabularySize)));
  await writeFile(join(directory, 'model.safetensors'), encodeSafetensors(tensors, options.dtype ?? 'F32'));
  if (exits.size > 0)
    await writeFile(join(directory, 'exits.safetensors'), encodeSafetensors(exits, options.dtype ?? 'F32'));
  return directory;
}

export async function temporaryFolder(label: string): Promise<string> {
  await mkdir(tmpdir(), { recursive: true });
  return await mkdtemp(join(tmpdir(), `tandem-${label}-`));
}

export async function removeFolder(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

export interface RandomTensor {
  dims: number[];
  values: Float32Array;
}

/** The bytes of a safetensors file. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, RandomTensor>,
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
): Uint8Array {
  const parts = [...tensors].map(([name, { dims, values }]) => ({ name, dims, bytes: elementBytes(values, dtype) }));
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let position = 0;
  for (const { name, dims, bytes } of parts) {
    header[name] = { dtype, shape: dims, data_offsets: [position, position + bytes.length] };
    position += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts.map(({ bytes }) => bytes)]);
}

function elementBytes(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer);
  const bits = new Uint32Array(values.buffer);
  // Cut, not rounded: the weights are random anyway. A half is made of an f32 by rebiasing its exponent.
  const toHalf = (b: number) => ((b >>> 16) & 0x8000) | Math.max(0, ((b & 0x7fffffff) >>> 13) - (112 << 10));
  const halves = Uint16Array.from(bits, dtype === 'BF16' ? (b) => b >>> 16 : toHalf);
  return new Uint8Array(halves.buffer);
}

function configOf(shape: ModelShape, tiedHead: boolean): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.width,
    intermediate_size: shape.feedForward,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    vocab_size: shape.vocabularySize,
    max_position_embeddings: shape.contextLength,
    rms_norm_eps: shape.normEpsilon,
    rope_theta: shape.ropeTheta,
    tie_word_embeddings: tiedHead,
    hidden_act: 'silu',
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

function modelTensors(shape: ModelShape, tiedHead: boolean, random: Random): Map<string, RandomTensor> {
  const { width, feedForward, vocabularySize, headDim } = shape;
  const queries = shape.heads * headDim;
  const keys = shape.kvHeads * headDim;
  const tensors = new Map<string, RandomTensor>();
  const matrix = (name: string, outputs: number, inputs: number, gain = 1) =>
    tensors.set(name, {
      dims: [outputs, inputs],
      values: randomArray(random, outputs * inputs, gain * Math.sqrt(3 / inputs)),
    });
  const norm = (name: string) => tensors.set(name, { dims: [width], values: randomArray(random, width, 0.2, 1) });
  matrix('model.embed_tokens.weight', vocabularySize, width, Math.sqrt(width));
  for (let layer = 0; layer < shape.layers; layer++) {
    const prefix = `model.layers.${layer}.`;
    norm(`${prefix}input_layernorm.weight`);
    // Larger queries and keys, so that attention is not nearly uniform.
    matrix(`${prefix}self_attn.q_proj.weight`, queries, width, 2);
    matrix(`${prefix}self_attn.k_proj.weight`, keys, width, 2);
    matrix(`${prefix}self_attn.v_proj.weight`, keys, width);
    matrix(`${prefix}self_attn.o_proj.weight`, width, queries);
    norm(`${prefix}post_attention_layernorm.weight`);
    matrix(`${prefix}mlp.gate_proj.weight`, feedForward, width);
    matrix(`${prefix}mlp.up_proj.weight`, feedForward, width);
    matrix(`${prefix}mlp.down_proj.weight`, width, feedForward);
  }
  norm('model.norm.weight');
  if (!tiedHead) matrix('lm_head.weight', vocabularySize, width);
  return tensors;
}

/** Close to the identity, as fitted maps are. */
function exitTensors(shape: ModelShape, layers: number[], random: Random): Map<string, RandomTensor> {
  const tensors = new Map<string, RandomTensor>();
  for (const layer of layers) {
    const values = randomArray(random, shape.width ** 2, 0.05);
    for (let i = 0; i < shape.width; i++) values[i * shape.width + i]! += 1;
    tensors.set(`exits.${layer}.weight`, { dims: [shape.width, shape.width], values });
    tensors.set(`exits.${layer}.bias`, { dims: [shape.width], values: randomArray(random, shape.width, 0.1) });
  }
  return tensors;
}

/** Uniform in `middle ± reach`. */
function randomArray(random: Random, length: number, reach: number, middle = 0): Float32Array {
  return Float32Array.from({ length }, () => middle + (random.next() * 2 - 1) * reach);
}

/** One word per token id, split at spaces. */
function tinyTokenizer(vocabularySize: number): unknown {
  const vocab = Object.fromEntries(
    Array.from({ length: vocabularySize }, (_, id) => [id === 0 ? '<unk>' : `w${id}`, id]),
  );
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
  };
}
