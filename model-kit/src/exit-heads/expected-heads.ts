import { loadOnnxRuntime, onnxSessionOptions } from '@tandem/shared/node';
import { DataType, GraphBuilder } from '../onnx/graph-builder.js';
import { encodeModel } from '../onnx/model-file.js';

type Runtime = Awaited<ReturnType<typeof loadOnnxRuntime>>;
type Session = Awaited<ReturnType<Runtime['InferenceSession']['create']>>;

/**
 * `softmax(logits) · heads`: the head's rows, each as often as the exit expects its token. In the runtime, as a loop over rows
 * and vocabulary takes a minute.
 */
export class ExpectedHeads {
  readonly #session: Session;
  readonly #runtime: Runtime;
  /** `(vocabularySize, width)` */
  readonly #heads: Float32Array;
  readonly #width: number;

  private constructor(session: Session, runtime: Runtime, heads: Float32Array, width: number) {
    this.#session = session;
    this.#runtime = runtime;
    this.#heads = heads;
    this.#width = width;
  }

  static async create(heads: Float32Array, width: number): Promise<ExpectedHeads> {
    const graph = new GraphBuilder();
    graph.input('logits', DataType.FLOAT, ['n', 'v']);
    graph.input('heads', DataType.FLOAT, ['v', width]);
    const shares = graph.node('Softmax', ['logits'], { attributes: { axis: -1 } });
    graph.output(graph.node('MatMul', [shares, 'heads'], { name: 'expected' }), DataType.FLOAT, ['n', width]);
    const runtime = await loadOnnxRuntime();
    const parts: Uint8Array[] = [];
    for await (const piece of encodeModel(graph, 'expected-heads')) parts.push(piece);
    return new ExpectedHeads(
      await runtime.InferenceSession.create(Buffer.concat(parts), onnxSessionOptions()),
      runtime,
      heads,
      width,
    );
  }

  /** What the cross-entropy asks for, `head of the right token − expected head`: `logits (n, vocabularySize)` → `(n, width)`. */
  async asked(logits: Float32Array, truth: readonly number[]): Promise<Float32Array> {
    const { Tensor } = this.#runtime;
    const width = this.#width;
    const size = this.#heads.length / width;
    const { expected } = await this.#session.run({
      logits: new Tensor('float32', logits, [truth.length, size]),
      heads: new Tensor('float32', this.#heads, [size, width]),
    });
    const asked = (expected!.data as Float32Array).slice();
    for (const [row, token] of truth.entries())
      for (let i = 0; i < width; i++)
        asked[row * width + i] = this.#heads[token * width + i]! - asked[row * width + i]!;
    return asked;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}
