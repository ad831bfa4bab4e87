/**
 * Makes a stage graph keep its keys and values where it runs.
 *
 * The graph of a bundle takes the cache as an input that the caller fills, and gives the new rows of it (model-kit's
 * stage-graph.ts). On a GPU that would be a download and an upload per step. Here its cache inputs get another name, and
 * their old name goes to nodes that are added, which put the cache together:
 *
 * ```
 * past_keys.L = Pad(Concat(Slice(prev_keys.L, 0 … past), new_keys.L), to C)      (also an output: the next run's prev_keys.L)
 * ```
 * Everything from the new rows' end on is zero by that, whatever the run before left there. Nothing else changes, so a
 * bundle needs no second set of files. protobuf merges repeated occurrences of a message, so that what is added simply
 * follows.
 */
import { assert } from '../errors.js';
import { WINDOW_POSITIONS } from './kv-cache.js';
import type { OnnxStageShape } from './onnx-stage-shape.js';
import {
  type Attributes,
  contentsOf,
  encodeIntegers,
  encodeNode,
  encodeValue,
  GRAPH,
  joinBytes,
  MODEL_GRAPH,
  message,
  NODE,
  TYPE,
  textsOf,
  VALUE,
} from './onnx-wire.js';
import { layerNames } from './stage-memory.js';

/** Of a layer: names of its cache as it goes in and as it comes out, before the layer's number. */
export const RESIDENT_INPUTS = ['prev_keys', 'prev_values'] as const;
export const RESIDENT_OUTPUTS = ['past_keys', 'past_values'] as const;

/** A stage for a session on a GPU. */
export interface ResidentGraph {
  model: Uint8Array<ArrayBuffer>;
  /** Outputs that stay there. */
  resident: string[];
  /**
   * Nodes that must not go there: they look rows up in f16 tables, and not every GPU knows f16. It saves the GPU the memory
   * of the embedding, too.
   */
  onProcessor: string[];
}

/** @throws AssertionError for a graph that model-kit did not write */
export function residentGraph(
  stage: Uint8Array,
  shape: Pick<OnnxStageShape, 'layers' | 'kvHeads' | 'headDim'>,
): ResidentGraph {
  const addition = new Addition();
  addition.bounds();
  for (let layer = 0; layer < shape.layers; layer++) {
    addition.cache(layer, 'keys', shape);
    addition.cache(layer, 'values', shape);
  }
  const suffix = addition.finish();
  const model = new Uint8Array(stage.length + suffix.length);
  model.set(stage);
  model.set(suffix, stage.length);
  renameInputs(model.subarray(0, stage.length), 2 * shape.layers);
  return { model, resident: layerNames(shape.layers, RESIDENT_OUTPUTS), onProcessor: lookUps(stage) };
}

/** Look-ups, but not that of the wanted rows, and casts; those of whole matrices are constants and gone by then. */
function lookUps(model: Uint8Array): string[] {
  const names: string[] = [];
  for (const graph of contentsOf(model, MODEL_GRAPH)) {
    for (const node of contentsOf(graph, GRAPH.node)) {
      const [operator] = textsOf(node, NODE.operator);
      if (operator !== 'Gather' && operator !== 'Cast') continue;
      if (!textsOf(node, NODE.input).includes('wanted')) names.push(...textsOf(node, NODE.name));
    }
  }
  return names;
}

/** `past_…` to `prev_…`, of the same length: in place, in the declarations of the graph's inputs alone. */
function renameInputs(model: Uint8Array, expected: number): void {
  let renamed = 0;
  for (const graph of contentsOf(model, MODEL_GRAPH)) {
    for (const input of contentsOf(graph, GRAPH.input)) {
      for (const name of contentsOf(input, VALUE.name)) {
        if (!/^past_(keys|values)\.\d+$/.test(new TextDecoder().decode(name))) continue;
        name.set(new TextEncoder().encode('prev'));
        renamed++;
      }
    }
  }
  assert(renamed === expected, `${renamed} cache inputs in the stage's graph, ${expected} expected`);
}

/** Nodes, constants and outputs that follow the graph. */
class Addition {
  readonly #fields: Uint8Array[] = [];
  readonly #constants = new Set<string>();

  /** `kept.past`, `kept.end`, and for keys and values how much is padded: int64 (1) and (10). */
  bounds(): void {
    this.#node('Slice', ['bounds', this.#ints([1]), this.#ints([2])], 'kept.past');
    this.#node('Slice', ['bounds', this.#ints([2]), this.#ints([3])], 'kept.end');
    this.#node('Shape', ['mask'], 'kept.columns', { start: 2 });
    this.#node('Sub', ['kept.columns', this.#ints([WINDOW_POSITIONS])], 'kept.capacity');
    this.#node('Sub', ['kept.capacity', 'kept.end'], 'kept.rest');
    const zeros = (count: number) => this.#ints(Array.from({ length: count }, () => 0));
    this.#node('Concat', [zeros(9), 'kept.rest'], 'kept.keys', { axis: 0 });
    this.#node('Concat', [zeros(8), 'kept.rest', zeros(1)], 'kept.values', { axis: 0 });
  }

  cache(layer: number, kind: 'keys' | 'values', { kvHeads, headDim }: Pick<OnnxStageShape, 'kvHeads' | 'headDim'>) {
    const axis = kind === 'keys' ? 4 : 3;
    const own = (part: string) => `kept.${kind}.${layer}.${part}`;
    this.#node('Reshape', [`new_${kind}.${layer}`, this.#ints([-1, kvHeads, 1, 1, headDim])], own('split'));
    const perm = kind === 'keys' ? [1, 2, 3, 4, 0] : [1, 2, 3, 0, 4];
    this.#node('Transpose', [own('split')], own('fresh'), { perm });
    const past = [`prev_${kind}.${layer}`, this.#ints([0]), 'kept.past', this.#ints([axis])];
    this.#node('Slice', past, own('past'));
    this.#node('Concat', [own('past'), own('fresh')], own('all'), { axis });
    this.#node('Pad', [own('all'), `kept.${kind}`], `past_${kind}.${layer}`);
    this.#output(`past_${kind}.${layer}`);
  }

  finish(): Uint8Array {
    return message(MODEL_GRAPH, joinBytes(this.#fields));
  }

  #node(operator: string, inputs: string[], output: string, attributes: Attributes = {}): void {
    this.#fields.push(encodeNode(operator, inputs, [output], attributes));
  }

  /** A constant int64 list. */
  #ints(values: number[]): string {
    const name = `kept.ints_${values.join('_')}`;
    if (this.#constants.has(name)) return name;
    this.#constants.add(name);
    this.#fields.push(encodeIntegers(name, values));
    return name;
  }

  /** A float tensor; its shape is left to the runtime to infer. */
  #output(name: string): void {
    this.#fields.push(message(GRAPH.output, encodeValue(name, TYPE.FLOAT)));
  }
}
