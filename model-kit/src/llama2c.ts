import { type LayerWeights, type ModelShape, type ModelWeights, TandemError } from '@tandem/shared';
import { bytesOf } from './checkpoint.js';

const HEADER_INTS = 7;

/**
 * Imports a checkpoint of karpathy/llama2.c in its first layout ("legacy", as in `stories260K.bin`).
 *
 * Seven int32 (width, feed-forward size, layers, heads, KV heads, vocabulary - negative where the head is not tied -,
 * context length), then f32 tensors, each kind for all layers at once.
 *
 * @throws TandemError CHECKPOINT_INVALID
 */
export function importLlama2c(file: Uint8Array): ModelWeights {
  const { shape, tiedHead } = readHeader(file);
  const { width, layers, feedForward, vocabularySize, headDim } = shape;
  const queries = shape.heads * headDim;
  const keys = shape.kvHeads * headDim;
  const cursor = new Cursor(file, HEADER_INTS * 4);
  const perLayer = (size: number) => Array.from({ length: layers }, () => cursor.take(size));

  const embedding = cursor.take(vocabularySize * width);
  const attentionNorm = perLayer(width);
  const query = perLayer(queries * width);
  const key = perLayer(keys * width);
  const value = perLayer(keys * width);
  const output = perLayer(width * queries);
  const feedForwardNorm = perLayer(width);
  const gate = perLayer(feedForward * width);
  const down = perLayer(width * feedForward);
  const up = perLayer(feedForward * width);
  const finalNorm = cursor.take(width);
  // Tables of rotary angles, which nobody reads any more.
  cursor.take(shape.contextLength * headDim);
  const head = tiedHead ? embedding : cursor.take(vocabularySize * width);
  cursor.finish();

  const layer = (i: number): LayerWeights => ({
    attentionNorm: attentionNorm[i]!,
    query: pairsToHalves(query[i]!, headDim, width),
    key: pairsToHalves(key[i]!, headDim, width),
    value: value[i]!,
    output: output[i]!,
    feedForwardNorm: feedForwardNorm[i]!,
    gate: gate[i]!,
    up: up[i]!,
    down: down[i]!,
  });
  return {
    shape,
    embedding,
    layers: Array.from({ length: layers }, (_, i) => layer(i)),
    finalNorm,
    head,
    exits: new Map(),
  };
}

/**
 * The pieces of a llama2.c tokenizer by token id, as bytes: `i32 longest piece`, then per token `f32 score, i32 length, bytes`.
 *
 * @throws TandemError CHECKPOINT_INVALID
 */
export function importLlama2cPieces(file: Uint8Array, vocabularySize: number): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const pieces: Uint8Array[] = [];
  let position = 4;
  for (let id = 0; id < vocabularySize; id++) {
    const begin = position + 8;
    const length = begin <= file.length ? view.getInt32(position + 4, true) : -1;
    if (length < 0 || begin + length > file.length)
      throw invalid(`tokenizer ends within token ${id} of ${vocabularySize}`);
    pieces.push(Uint8Array.from(file.subarray(begin, begin + length)));
    position = begin + length;
  }
  return pieces;
}

/** The text of token ids. Pieces such as `<0x0A>` stand for one byte; the space after the start token is dropped. */
export function decodeLlama2c(pieces: readonly Uint8Array[], tokens: Iterable<number>, bosTokenId = 1): string {
  const bytes: number[] = [];
  let previous = -1;
  for (const token of tokens) {
    const piece = pieces[token] ?? new Uint8Array(0);
    const raw = /^<0x([0-9A-F]{2})>$/.exec(new TextDecoder().decode(piece))?.[1];
    const dropsSpace = previous === bosTokenId && piece[0] === 0x20;
    if (raw !== undefined) bytes.push(Number.parseInt(raw, 16));
    else if (token !== bosTokenId) bytes.push(...(dropsSpace ? piece.subarray(1) : piece));
    previous = token;
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function readHeader(file: Uint8Array): { shape: ModelShape; tiedHead: boolean } {
  if (file.length < HEADER_INTS * 4) throw invalid(`${file.length} bytes, less than a header`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const ints = Array.from({ length: HEADER_INTS }, (_, i) => view.getInt32(i * 4, true));
  const [width, feedForward, layers, heads, kvHeads, vocabulary, contextLength] = ints as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const plausible = [width, feedForward, layers, heads, kvHeads, Math.abs(vocabulary), contextLength].every(
    (n) => n > 0 && n < 1 << 24,
  );
  if (!plausible || width % heads !== 0 || heads % kvHeads !== 0)
    throw invalid(`header ${ints.join(', ')} is not one of llama2.c`);
  const shape: ModelShape = {
    width,
    layers,
    heads,
    kvHeads,
    headDim: width / heads,
    feedForward,
    vocabularySize: Math.abs(vocabulary),
    contextLength,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  };
  return { shape, tiedHead: vocabulary > 0 };
}

/** Walks through the f32 tensors of a file that may lie at any byte offset. */
class Cursor {
  readonly #file: Uint8Array;
  #position: number;

  constructor(file: Uint8Array, position: number) {
    this.#file = file;
    this.#position = position;
  }

  take(elements: number): Float32Array {
    const end = this.#position + elements * 4;
    if (end > this.#file.length) throw invalid(`${this.#file.length} bytes, the header asks for at least ${end}`);
    // A copy, because the file may lie at an address that no Float32Array can look at.
    const floats = new Float32Array(elements);
    bytesOf(floats).set(this.#file.subarray(this.#position, end));
    this.#position = end;
    return floats;
  }

  finish(): void {
    if (this.#position !== this.#file.length)
      throw invalid(`${this.#file.length} bytes, the header asks for ${this.#position}`);
  }
}

/**
 * llama2.c turns neighbouring elements (2i, 2i+1) of a head by one angle, we turn elements i and i + headDim/2:
 * the same model with the rows of its query and key matrices in another order. `matrix` is `(heads * headDim, width)`.
 */
function pairsToHalves(matrix: Float32Array, headDim: number, width: number): Float32Array {
  const half = headDim / 2;
  const reordered = new Float32Array(matrix.length);
  for (let row = 0; row < matrix.length / width; row++) {
    const inHead = row % headDim;
    const target = row - inHead + (inHead % 2) * half + Math.floor(inHead / 2);
    reordered.set(matrix.subarray(row * width, (row + 1) * width), target * width);
  }
  return reordered;
}

function invalid(what: string): TandemError {
  return new TandemError('CHECKPOINT_INVALID', `llama2.c file: ${what}`);
}
