import type { Format } from '@tandem/shared';
import { arithmeticOf, bytesOf, type Checkpoint, type TensorName, tensorShape } from '../checkpoint.js';
import { type Converter, inlineConverter } from '../conversion/converter.js';
import { streamTensor } from '../conversion/tensor-stream.js';
import { BLOCK_SIZES } from '../quantise.js';
import { DataType, type GraphBuilder, type Pieces } from './graph-builder.js';

/** Puts weights of a checkpoint into a graph, in one format, and the products that use them. */
export class StageWeights {
  readonly #graph: GraphBuilder;
  readonly #checkpoint: Checkpoint;
  readonly #format: Format;
  readonly #converter: Converter;
  /** Data and scales of one matrix are written one after the other; it is quantised once for both. */
  #lastScales: { tensor: TensorName; scales: Float32Array[] } | undefined;

  constructor(graph: GraphBuilder, checkpoint: Checkpoint, format: Format, converter = inlineConverter) {
    this.#converter = converter;
    this.#graph = graph;
    this.#checkpoint = checkpoint;
    this.#format = format;
  }

  /** A tensor in f32: norms and biases are, in every format. */
  floats(tensor: TensorName): string {
    const dims = this.#dims(tensor);
    const load = () => this.#pieces(tensor, 'f32');
    return this.#graph.initializer({
      name: this.#name(tensor),
      type: DataType.FLOAT,
      dims,
      bytes: product(dims) * 4,
      load,
    });
  }

  /** Lines of a table, of `lines (n)`: `(n, width)` f32. The table is f32 in an f32 file, else f16. */
  lookUp(table: 'embedding' | 'positions', lines: string): string {
    if (this.#format === 'f32') return this.#graph.node('Gather', [this.floats(table), lines]);
    const halves = this.#graph.node('Gather', [this.#halves(table), lines]);
    return this.#cast(halves);
  }

  /** `input (n, inputs)` times a matrix of the stage's format: `(n, outputs)`. `name` is that of the result. */
  multiply(input: string, tensor: TensorName, name?: string): string {
    switch (this.#format) {
      case 'f32':
      case 'f16':
        return this.multiplyExact(input, tensor, { name });
      case 'q8':
        return this.#multiplyQuantised(input, tensor, 8, name);
      case 'q4':
        return this.#multiplyQuantised(input, tensor, 4, name);
    }
  }

  /**
   * The same with an unquantised matrix: f32 in an f32 file, else f16.
   *
   * Exit maps need it: they are close to the identity, and beside a one the small numbers of a block vanish.
   */
  multiplyExact(input: string, tensor: TensorName, { bias, name }: { bias?: TensorName; name?: string } = {}): string {
    const matrix = this.#format === 'f32' ? this.floats(tensor) : this.#cast(this.#halves(tensor));
    const addend = bias === undefined ? [] : [this.floats(bias)];
    return this.#graph.node('Gemm', [input, matrix, ...addend], { attributes: { transB: 1 }, name });
  }

  #multiplyQuantised(input: string, tensor: TensorName, bits: 4 | 8, name?: string): string {
    const [outputs, inputs] = this.#dims(tensor) as [number, number];
    const blockSize = BLOCK_SIZES[bits];
    const blocks = Math.ceil(inputs / blockSize);
    const blockBytes = (blockSize * bits) / 8;
    const data = this.#graph.initializer({
      name: `${tensor}.q${bits}`,
      type: DataType.UINT8,
      dims: [outputs, blocks, blockBytes],
      bytes: outputs * blocks * blockBytes,
      load: () => this.#quantised(tensor, `q${bits}`),
    });
    const scales = this.#graph.initializer({
      name: `${tensor}.scales`,
      type: DataType.FLOAT,
      dims: [outputs * blocks],
      bytes: outputs * blocks * 4,
      load: () => this.#scales(tensor, `q${bits}`),
    });
    // Accuracy level 4: the input is quantised to 8 bits too, block by block and row by row.
    const attributes = { K: inputs, N: outputs, bits, block_size: blockSize, accuracy_level: 4 };
    return this.#graph.node('MatMulNBits', [input, data, scales], { attributes, name });
  }

  async *#pieces(tensor: TensorName, target: 'f32' | 'f16'): Pieces {
    for await (const { data } of streamTensor(this.#checkpoint, this.#converter, tensor, target)) yield data;
  }

  async *#quantised(tensor: TensorName, target: 'q8' | 'q4'): Pieces {
    const scales: Float32Array[] = [];
    for await (const piece of streamTensor(this.#checkpoint, this.#converter, tensor, target)) {
      scales.push(piece.scales);
      yield piece.data;
    }
    this.#lastScales = { tensor, scales };
  }

  async *#scales(tensor: TensorName, target: 'q8' | 'q4'): Pieces {
    // Whoever goes on with a file behind the data has not seen it: once more, for the scales alone.
    if (this.#lastScales?.tensor !== tensor) for await (const _ of this.#quantised(tensor, target));
    for (const scales of this.#lastScales!.scales) yield bytesOf(scales);
    this.#lastScales = undefined;
  }

  #halves(tensor: TensorName): string {
    const dims = this.#dims(tensor);
    const load = () => this.#pieces(tensor, 'f16');
    return this.#graph.initializer({
      name: this.#name(tensor),
      type: DataType.FLOAT16,
      dims,
      bytes: product(dims) * 2,
      load,
    });
  }

  #dims(tensor: TensorName): number[] {
    return tensorShape(tensor, this.#checkpoint.shape, arithmeticOf(this.#checkpoint));
  }

  /** To f32. Where the input is a constant, ONNX Runtime does it once, at load. */
  #cast(value: string): string {
    return this.#graph.node('Cast', [value], { attributes: { to: DataType.FLOAT } });
  }

  /** A tied head is stored once where its format is the embedding's. */
  #name(tensor: TensorName): TensorName {
    return tensor === 'head' && this.#checkpoint.tiedHead ? 'embedding' : tensor;
  }
}

function product(dims: number[]): number {
  return dims.reduce((result, size) => result * size, 1);
}
