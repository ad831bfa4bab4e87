import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argmax, newId } from '@tandem/shared';
import { loadOnnxRuntime, onnxSessionOptions } from '@tandem/shared/node';
import { type ExitMap, exitHeadModel, ownHeadModel } from '../onnx/exit-map.js';

type Runtime = Awaited<ReturnType<typeof loadOnnxRuntime>>;
type Session = Awaited<ReturnType<Runtime['InferenceSession']['create']>>;

/** Rows at one exit, and what the whole model chose behind them. */
export interface JudgedRows {
  /** `(n, width)` */
  rows: Float32Array;
  truth: readonly number[];
}

/** The head of an exit, on which any map can be tried without building a stage for it. */
export class HeadJudge {
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #width: number;

  private constructor(runtime: Runtime, session: Session, width: number) {
    this.#runtime = runtime;
    this.#session = session;
    this.#width = width;
  }

  /** `dataFolder`: where the weights lie that are not in the stage's own file, if there are such. */
  static async create(stage: Uint8Array, width: number, dataFolder?: string): Promise<HeadJudge> {
    const runtime = await loadOnnxRuntime();
    return new HeadJudge(runtime, await openModel(runtime, exitHeadModel(stage, width), dataFolder), width);
  }

  /** The head with the map that is in the stage. */
  static async ofOwnMap(stage: Uint8Array, width: number, dataFolder?: string): Promise<HeadJudge> {
    const runtime = await loadOnnxRuntime();
    return new HeadJudge(runtime, await openModel(runtime, ownHeadModel(stage, width), dataFolder), width);
  }

  /** Share of rows whose likeliest token is the whole model's. `map`: none for a head that brings its own. */
  async agreement(map: ExitMap | undefined, texts: readonly JudgedRows[]): Promise<number> {
    let equal = 0;
    let total = 0;
    for (const { rows, truth } of texts) {
      const logits = await this.logits(map, rows);
      const vocabularySize = logits.length / truth.length;
      for (const [i, token] of truth.entries()) {
        if (argmax(logits.subarray(i * vocabularySize, (i + 1) * vocabularySize)) === token) equal++;
      }
      total += truth.length;
    }
    return equal / total;
  }

  /** `rows (n, width)` → `(n, vocabularySize)` */
  async logits(map: ExitMap | undefined, rows: Float32Array): Promise<Float32Array> {
    const { Tensor } = this.#runtime;
    const width = this.#width;
    const { logits } = await this.#session.run({
      rows: new Tensor('float32', rows, [rows.length / width, width]),
      ...(map && {
        weight: new Tensor('float32', map.weight, [width, width]),
        bias: new Tensor('float32', map.bias, [width]),
      }),
    });
    return logits!.data as Float32Array;
  }

  /**
   * Where each token's logit grows behind the norm, the norm's gains included: `(vocabularySize, width)`. Read off the head whatever its
   * weight format: a row with a single one comes out of the norm √width long.
   */
  async tokenDirections(): Promise<Float32Array> {
    const width = this.#width;
    const ones = identityMap(width);
    const logits = await this.logits(ones, ones.weight);
    const vocabularySize = logits.length / width;
    const directions = new Float32Array(logits.length);
    for (let channel = 0; channel < width; channel++)
      for (let token = 0; token < vocabularySize; token++)
        directions[token * width + channel] = logits[channel * vocabularySize + token]! / Math.sqrt(width);
    return directions;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/** Weights beside a model are looked for beside its file; so such a model becomes a file there for a moment. */
async function openModel(runtime: Runtime, model: Uint8Array, dataFolder: string | undefined): Promise<Session> {
  if (dataFolder === undefined) return await runtime.InferenceSession.create(model, onnxSessionOptions());
  const path = join(dataFolder, `.head-${newId()}.onnx`);
  try {
    await writeFile(path, model);
    return await runtime.InferenceSession.create(path, onnxSessionOptions());
  } finally {
    await rm(path, { force: true });
  }
}

/** The map of a raw exit: none. */
export function identityMap(width: number): ExitMap {
  const weight = new Float32Array(width * width);
  for (let i = 0; i < width; i++) weight[i * width + i] = 1;
  return { weight, bias: new Float32Array(width) };
}
