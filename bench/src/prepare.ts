import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareBundle } from '@tandem/model-kit';
import { GREEDY, type Manifest } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import { currentCommit, describeMachine, formatColumns } from './report.js';

interface PrepareFlags {
  json?: boolean;
}

/** The shape of Llama 3.2 1B: 1.24 billion weights, 2.5 GB in bf16. */
const SHAPE = { width: 2048, layers: 16, queries: 2048, keys: 512, inner: 8192, vocabulary: 128_256 };
const SHARDS = 2;
const ROOM_BYTES_MIN = 6 * 2 ** 30;

/** What does a checkpoint of 1.2 billion weights cost: time, memory at its peak, and does the result run? */
export async function benchPrepare(flags: PrepareFlags): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-prepare-'));
  try {
    const room = await statfs(folder);
    if (room.bavail * room.bsize < ROOM_BYTES_MIN)
      throw new Error(`needs ${ROOM_BYTES_MIN} bytes of disk in ${folder}`);
    const checkpoint = join(folder, 'checkpoint');
    const inputBytes = await writeCheckpoint(checkpoint);
    const out = join(folder, 'bundle');
    const startedMs = performance.now();
    const startedCpu = process.cpuUsage();
    const manifest = await prepareBundle({ checkpoint, exits: [8], cut: 8, formats: ['q8'], out, contextLength: 4096 });
    const seconds = (performance.now() - startedMs) / 1000;
    const cpu = process.cpuUsage(startedCpu);
    // In KiB on every platform; the highest of the process so far.
    const peakBytes = process.resourceUsage().maxRSS * 1024;
    const token = await runOnce(out);
    const result = {
      bench: 'prepare',
      seconds: Number(seconds.toFixed(2)),
      // Of all threads: what a busy machine does not change much.
      cpuSeconds: Number(((cpu.user + cpu.system) / 1e6).toFixed(2)),
      peakBytes,
      inputBytes,
      outputBytes: bytesOf(manifest),
      inputBytesPerS: Math.round(inputBytes / seconds),
      token,
      machine: describeMachine(),
      commit: currentCommit(),
    };
    if (!flags.json) console.log(describe(result));
    console.log(JSON.stringify(result));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Random bf16 weights of about the usual size, one block of them again and again: what they are does not change the time. */
async function writeCheckpoint(folder: string): Promise<number> {
  await mkdir(folder);
  const block = new Uint16Array(randomBytes(32 * 2 ** 20).buffer);
  // Sign and mantissa stay random, the exponent becomes that of 2^-7 to 2^-4.
  for (let i = 0; i < block.length; i++) block[i] = (block[i]! & 0x81ff) | 0x3c00;
  const tensors = [...tensorShapes()];
  const weightMap: Record<string, string> = {};
  let inputBytes = 0;
  for (let shard = 0; shard < SHARDS; shard++) {
    const file = `model-0000${shard + 1}-of-0000${SHARDS}.safetensors`;
    const own = tensors.filter((_, index) => index % SHARDS === shard);
    for (const [name] of own) weightMap[name] = file;
    inputBytes += await writeShard(join(folder, file), own, new Uint8Array(block.buffer));
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  await writeFile(join(folder, 'config.json'), JSON.stringify(config()));
  const model = { type: 'WordLevel', vocab: { a: 0 }, unk_token: 'a' };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ added_tokens: [], model }));
  return inputBytes;
}

async function writeShard(path: string, tensors: [string, number[]][], block: Uint8Array): Promise<number> {
  const header: Record<string, unknown> = {};
  let position = 0;
  for (const [name, shape] of tensors) {
    const bytes = shape.reduce((product, size) => product * size, 2);
    header[name] = { dtype: 'BF16', shape, data_offsets: [position, position + bytes] };
    position += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const handle = await open(path, 'w');
  await handle.write(Buffer.concat([length, json]));
  for (let left = position; left > 0; left -= block.length)
    await handle.write(block.subarray(0, Math.min(left, block.length)));
  await handle.close();
  return position;
}

function* tensorShapes(): Generator<[string, number[]]> {
  const { width, layers, queries, keys, inner, vocabulary } = SHAPE;
  yield ['model.embed_tokens.weight', [vocabulary, width]];
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `model.layers.${layer}.${part}.weight`;
    yield [name('input_layernorm'), [width]];
    yield [name('self_attn.q_proj'), [queries, width]];
    yield [name('self_attn.k_proj'), [keys, width]];
    yield [name('self_attn.v_proj'), [keys, width]];
    yield [name('self_attn.o_proj'), [width, queries]];
    yield [name('post_attention_layernorm'), [width]];
    yield [name('mlp.gate_proj'), [inner, width]];
    yield [name('mlp.up_proj'), [inner, width]];
    yield [name('mlp.down_proj'), [width, inner]];
  }
  yield ['model.norm.weight', [width]];
}

function config(): Record<string, unknown> {
  return {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: SHAPE.width,
    intermediate_size: SHAPE.inner,
    num_hidden_layers: SHAPE.layers,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
    vocab_size: SHAPE.vocabulary,
    max_position_embeddings: 131_072,
    rope_theta: 500_000,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8_192,
    },
    tie_word_embeddings: true,
    bos_token_id: 128_000,
    eos_token_id: 128_001,
  };
}

/** One token through all stages: the bundle loads and runs. */
async function runOnce(directory: string): Promise<number> {
  const engine = await loadChainEngine({ directory, format: 'q8', threads: undefined, preload: 'all' });
  const session = 'prepared';
  await engine.open({ session, firstStage: 0, endStage: engine.info.stages, capacity: 64, codec: 'f32' });
  const input = { kind: 'tokens' as const, tokens: Int32Array.of(1, 2, 3) };
  const request = { session, from: 0, input, depth: engine.info.stages, want: [2], drafts: [], sampling: GREEDY };
  const { choices } = await engine.step(request);
  await engine.dispose();
  return choices[0]!.token;
}

function bytesOf({ stages }: Manifest): number {
  return stages.flatMap(({ files }) => Object.values(files)).reduce((sum, file) => sum + (file?.bytes ?? 0), 0);
}

function describe(result: { seconds: number; peakBytes: number; inputBytes: number; outputBytes: number }): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  return formatColumns([
    ['input', 'output (q8)', 'seconds', 'input per second', 'peak memory'],
    [
      megabytes(result.inputBytes),
      megabytes(result.outputBytes),
      String(result.seconds),
      megabytes(result.inputBytes / result.seconds),
      megabytes(result.peakBytes),
    ],
  ]);
}
