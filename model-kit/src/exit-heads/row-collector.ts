import type { Format } from '@tandem/shared';
import { type Manifest, StageChain, type StageModel } from '@tandem/shared';
import { type Bundle, loadStage } from '@tandem/shared/node';

/** A text's rows, all `(n, width)`. */
export interface CollectedText {
  /** After each exit's last layer, first exit first. */
  exits: Float32Array[];
  /** After the model's last layer. */
  final: Float32Array;
  /** The whole model's logits, `(n, vocabularySize)`; empty if they were not asked for. */
  logits: Float32Array;
}

/** Runs texts through the stages of a bundle and keeps the rows between them. */
export class RowCollector {
  readonly #models: readonly StageModel[];
  readonly #chain: StageChain;
  /** Stages up to each exit, first exit first. */
  readonly #depths: readonly number[];

  private constructor(models: readonly StageModel[], manifest: Manifest) {
    this.#models = models;
    this.#chain = new StageChain(
      models.map((model) => model.open(manifest.contextLength)),
      manifest.width,
    );
    this.#depths = manifest.stages.flatMap(({ head }, index) => (head === 'exit' ? [index + 1] : []));
  }

  static async open(bundle: Bundle, format: Format, threads: number): Promise<RowCollector> {
    const models: StageModel[] = [];
    for (const index of bundle.manifest.stages.keys()) models.push(await loadStage(bundle, index, format, { threads }));
    return new RowCollector(models, bundle.manifest);
  }

  async collect(tokens: readonly number[], withLogits: boolean): Promise<CollectedText> {
    const chain = this.#chain;
    chain.truncate(0);
    chain.append({ kind: 'tokens', tokens: Int32Array.from(tokens) });
    const exits: Float32Array[] = [];
    for (const depth of this.#depths) exits.push((await chain.run(depth, [])).rows);
    const { rows, logits } = await chain.run(chain.depth, withLogits ? [...tokens.keys()] : []);
    return { exits, final: rows, logits };
  }

  async close(): Promise<void> {
    this.#chain.dispose();
    for (const model of this.#models) await model.dispose();
  }
}
