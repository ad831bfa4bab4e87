import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import { KvCache, type KvCacheShape } from './kv-cache.js';
import type { StageTail } from './stage.js';

/**
 * Where a stage on ONNX Runtime keeps the keys and values of its session: in arrays of ours, which the runtime reads in
 * place (`OwnedMemory`), or in buffers of a GPU, which never come back (`ResidentMemory`).
 */
export interface StageMemory {
  readonly length: number;
  /** Positions of the tensors of the next run: a multiple of the window. Changes only in `reserve`. */
  readonly capacity: number;
  /** Outputs that a run is asked for, besides rows and logits. */
  readonly outputs: readonly string[];
  /** Makes room for `length` positions. */
  reserve(length: number): void;
  /** The cache's tensors, by the names of the graph's inputs. */
  feeds(): Record<string, Tensor>;
  /** Takes in `count` positions of a run, from its row `first` on. Returns false where a number of theirs is not finite. */
  append(results: InferenceSession.ReturnType, count: number, first: number): boolean;
  /** Forgets all positions from `length` on, and `unsettled` behind them of a run that failed. */
  truncate(length: number, unsettled?: number): void;
  copyTail(from: number): StageTail;
  appendTail(tail: StageTail): void;
  clear(): void;
}

/** For runtimes that read inputs without a copy and hand out copies: outputs are the new rows alone. */
export class OwnedMemory implements StageMemory {
  readonly outputs: readonly string[];
  readonly #shape: KvCacheShape;
  readonly #Tensor: TensorConstructor;
  readonly #cache: KvCache;
  /** Tensors over the cache's arrays; made anew only when the cache grows. */
  #feeds: Record<string, Tensor> = {};

  constructor(Tensor: TensorConstructor, shape: KvCacheShape) {
    this.#shape = shape;
    this.#Tensor = Tensor;
    this.#cache = new KvCache(shape);
    this.outputs = layerNames(shape.layers, ['new_keys', 'new_values']);
  }

  get length(): number {
    return this.#cache.length;
  }

  get capacity(): number {
    return this.#cache.capacity;
  }

  reserve(length: number): void {
    if (this.#cache.reserve(length)) this.#wrap();
  }

  feeds(): Record<string, Tensor> {
    return this.#feeds;
  }

  append(results: InferenceSession.ReturnType, count: number, first: number): boolean {
    const begin = first * this.#shape.kvHeads * this.#shape.headDim;
    let finite = true;
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      const keys = results[`new_keys.${layer}`]!.data as Float32Array;
      const values = results[`new_values.${layer}`]!.data as Float32Array;
      finite = this.#cache.write(layer, keys.subarray(begin), values.subarray(begin), count) && finite;
    }
    this.#cache.advance(count);
    return finite;
  }

  truncate(length: number, unsettled?: number): void {
    this.#cache.truncate(length, unsettled);
  }

  copyTail(from: number): StageTail {
    const count = this.length - from;
    const layers = Array.from({ length: this.#shape.layers }, (_, layer) => this.#cache.read(layer, from, count));
    return { from, count, keys: layers.map(({ keys }) => keys), values: layers.map(({ values }) => values) };
  }

  appendTail({ from, count, keys, values }: StageTail): void {
    this.reserve(from + count);
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      this.#cache.write(layer, keys[layer]!, values[layer]!, count);
    }
    this.#cache.advance(count);
  }

  clear(): void {
    this.#feeds = {};
    this.#cache.clear();
  }

  #wrap(): void {
    const feeds: Record<string, Tensor> = {};
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      const { keys, values } = cacheDims(this.#shape, this.capacity);
      feeds[`past_keys.${layer}`] = new this.#Tensor('float32', this.#cache.keys[layer]!, keys);
      feeds[`past_values.${layer}`] = new this.#Tensor('float32', this.#cache.values[layer]!, values);
    }
    this.#feeds = feeds;
  }
}

/** Shapes of the cache's tensors in a stage graph. */
export function cacheDims({ kvHeads, headDim }: KvCacheShape, capacity: number): { keys: number[]; values: number[] } {
  return { keys: [kvHeads, 1, 1, headDim, capacity], values: [kvHeads, 1, 1, capacity, headDim] };
}

/** `keys.0`, `values.0`, `keys.1` … */
export function layerNames(layers: number, kinds: readonly string[]): string[] {
  return Array.from({ length: layers }, (_, layer) => kinds.map((kind) => `${kind}.${layer}`)).flat();
}
