import { argmax, type RowCodec, StageChain, type StageModel, throughCodec } from '@tandem/shared';
import { loadStage, openBundle } from '@tandem/shared/node';
import { median } from './report.js';

/** Positions per window; a window is scored from its first token on. */
const WINDOW = 250;

export interface CodecQuality {
  /** Share of positions whose likeliest token is another one than with unchanged rows. */
  flips: number;
  /** Cross-entropy of the text, relative to that with unchanged rows, minus 1. */
  crossEntropyDelta: number;
  /** Median, over the flips, of how likely the other token was beside the likeliest before: 1 is a tie. */
  flipOddsMedian: number | undefined;
}

interface ScoredWindow {
  /** The token after each position. */
  targets: readonly number[];
  /** What the device hands over, `(positions, width)`. */
  rows: Float32Array;
  /** The cloud's answer to unchanged rows, `(positions, vocabularySize)`. */
  logits: Float32Array;
}

/** Rows at the cut, collected once; each codec then costs one pass of the cloud's stages. */
export class CodecJudge {
  readonly windows: readonly ScoredWindow[];
  readonly width: number;
  readonly #vocabularySize: number;
  readonly #cloud: StageChain;
  readonly #crossEntropy: number;

  private constructor(windows: readonly ScoredWindow[], width: number, vocabularySize: number, cloud: StageChain) {
    this.windows = windows;
    this.width = width;
    this.#vocabularySize = vocabularySize;
    this.#cloud = cloud;
    this.#crossEntropy = this.#sumOver(({ logits, targets }) => this.#crossEntropyOf(logits, targets));
  }

  static async create(directory: string, tokens: readonly number[]): Promise<CodecJudge> {
    const bundle = await openBundle(directory);
    const { manifest } = bundle;
    const models: StageModel[] = [];
    for (const index of manifest.stages.keys()) models.push(await loadStage(bundle, index, 'f32'));
    const stages = models.map((model) => model.open(WINDOW));
    const cutAt = manifest.stages.findIndex(({ from }) => from === manifest.cut);
    const device = new StageChain(stages.slice(0, cutAt), manifest.width);
    const cloud = new StageChain(stages.slice(cutAt), manifest.width);
    const windows: ScoredWindow[] = [];
    for (let start = 0; start + WINDOW <= tokens.length; start += WINDOW) {
      const targets = tokens.slice(start, start + WINDOW);
      const input = Int32Array.of(manifest.bosTokenId ?? targets[0]!, ...targets.slice(0, -1));
      device.truncate(0);
      device.append({ kind: 'tokens', tokens: input });
      const { rows } = await device.run(device.depth, []);
      windows.push({ targets, rows, logits: await runCloud(cloud, rows) });
    }
    return new CodecJudge(windows, manifest.width, manifest.vocabularySize, cloud);
  }

  get positions(): number {
    return this.windows.length * WINDOW;
  }

  async judge(codec: RowCodec): Promise<CodecQuality> {
    let crossEntropy = 0;
    const odds: number[] = [];
    for (const window of this.windows) {
      const logits = await runCloud(this.#cloud, throughCodec(codec, window.rows, this.width));
      crossEntropy += this.#crossEntropyOf(logits, window.targets);
      odds.push(...this.#oddsAtFlips(window.logits, logits));
    }
    return {
      flips: odds.length / this.positions,
      crossEntropyDelta: crossEntropy / this.#crossEntropy - 1,
      flipOddsMedian: odds.length > 0 ? median(odds) : undefined,
    };
  }

  #sumOver(value: (window: ScoredWindow) => number): number {
    return this.windows.reduce((sum, window) => sum + value(window), 0);
  }

  #oddsAtFlips(before: Float32Array, after: Float32Array): number[] {
    const odds: number[] = [];
    for (let start = 0; start < before.length; start += this.#vocabularySize) {
      const own = before.subarray(start, start + this.#vocabularySize);
      const chosen = argmax(after.subarray(start, start + this.#vocabularySize));
      const best = argmax(own);
      if (chosen !== best) odds.push(Math.exp(own[chosen]! - own[best]!));
    }
    return odds;
  }

  /** Sum of -ln p(target) over the positions. */
  #crossEntropyOf(logits: Float32Array, targets: readonly number[]): number {
    let sum = 0;
    for (const [position, target] of targets.entries()) {
      const start = position * this.#vocabularySize;
      const own = logits.subarray(start, start + this.#vocabularySize);
      const largest = own[argmax(own)]!;
      let total = 0;
      for (const logit of own) total += Math.exp(logit - largest);
      sum += largest + Math.log(total) - own[target]!;
    }
    return sum;
  }
}

async function runCloud(cloud: StageChain, rows: Float32Array): Promise<Float32Array> {
  cloud.truncate(0);
  cloud.append({ kind: 'rows', rows });
  const { logits } = await cloud.run(
    cloud.depth,
    Array.from({ length: WINDOW }, (_, i) => i),
  );
  return logits;
}
