import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import { assert } from '../errors.js';
import { type KvCacheShape, kvCapacity, WINDOW_POSITIONS } from './kv-cache.js';
import { RESIDENT_INPUTS, RESIDENT_OUTPUTS } from './resident-graph.js';
import type { StageTail } from './stage.js';
import { cacheDims, layerNames, type StageMemory } from './stage-memory.js';

/**
 * Keys and values in buffers of a GPU: what a run gives is what the next one takes, and nothing of it is ever read here.
 *
 * A run leaves the tensors that it was given alone and makes new ones. So a roll-back is a smaller length, a run that
 * failed changes nothing, and a tail that is put aside is the tensors as they were: a reference.
 */
export class ResidentMemory implements StageMemory {
  readonly outputs: readonly string[];
  /** Where the outputs go in at the next run, in their order. */
  readonly #inputs: readonly string[];
  readonly #shape: KvCacheShape;
  readonly #Tensor: TensorConstructor;
  #tensors: SharedTensors;
  #length = 0;
  #capacity = 0;

  constructor(Tensor: TensorConstructor, shape: KvCacheShape) {
    this.#shape = shape;
    this.#Tensor = Tensor;
    this.outputs = layerNames(shape.layers, RESIDENT_OUTPUTS);
    this.#inputs = layerNames(shape.layers, RESIDENT_INPUTS);
    this.#tensors = this.#nothing();
  }

  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#capacity;
  }

  reserve(length: number): void {
    if (length > this.#capacity) this.#capacity = kvCapacity(length, this.#shape.limit);
  }

  feeds(): Record<string, Tensor> {
    return this.#tensors.byInput;
  }

  append(results: InferenceSession.ReturnType, count: number): boolean {
    const entries = this.outputs.map((output, i) => [this.#inputs[i]!, results[output] as Tensor] as const);
    this.#exchange(new SharedTensors(Object.fromEntries(entries)));
    this.#length += count;
    // Whatever is not finite in a key or a value of a row comes out in the row itself, which attends to it.
    return (results.output_rows!.data as Float32Array).every(Number.isFinite);
  }

  truncate(length: number): void {
    assert(length >= 0 && length <= this.#length, `truncate to ${length} of ${this.#length}`);
    this.#length = length;
  }

  copyTail(from: number): StageTail {
    const resident = this.#tensors.retain();
    return {
      from,
      count: this.#length - from,
      keys: [],
      values: [],
      resident,
      release: () => resident.release(),
    };
  }

  /** The tensors of the tail hold the positions before it, too, and they are the same: `appendTail` demands it. */
  appendTail({ from, count, resident }: StageTail): void {
    assert(resident instanceof SharedTensors, 'a tail of another kind of memory');
    this.reserve(from + count);
    this.#exchange(resident.retain());
    this.#length = from + count;
  }

  clear(): void {
    this.#exchange(this.#nothing());
    this.#length = 0;
    this.#capacity = 0;
  }

  #exchange(tensors: SharedTensors): void {
    this.#tensors.release();
    this.#tensors = tensors;
  }

  /** One window that nobody reads: a tensor of no positions is not taken everywhere. */
  #nothing(): SharedTensors {
    const { kvHeads, headDim } = this.#shape;
    const { keys, values } = cacheDims(this.#shape, WINDOW_POSITIONS);
    const zeros = new Float32Array(kvHeads * headDim * WINDOW_POSITIONS);
    const entries = this.#inputs.map((name, i) => [
      name,
      new this.#Tensor('float32', zeros, i % 2 === 0 ? keys : values),
    ]);
    return new SharedTensors(Object.fromEntries(entries));
  }
}

/** The tensors of one moment, and how many hold on to them; the last one gives their buffers back. */
class SharedTensors {
  readonly byInput: Record<string, Tensor>;
  #users = 1;

  constructor(byInput: Record<string, Tensor>) {
    this.byInput = byInput;
  }

  retain(): this {
    assert(this.#users > 0, 'these tensors were given back');
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users > 0) return;
    for (const tensor of Object.values(this.byInput)) tensor.dispose();
  }
}
