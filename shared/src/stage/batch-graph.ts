/**
 * Makes a stage graph run the rows of several sessions at once, each session's in a slot of its own.
 *
 * What a bundle's graph does with a row is of two kinds. Products with weights, norms and rotation look at one row at a time:
 * here they run on the rows of all slots, one slot's behind the other's, and the weights cross the memory once for all.
 * Attention needs the keys and values of its own session: its nodes stand in the graph once per slot, unchanged, so that
 * a row meets the same products in the same order as alone, and keeps its bits.
 *
 * ```
 * rows (n) → norm, query, key, value, rotation → Split ┬→ attention, slot 0 ┬→ Concat → output, feed-forward → rows (n)
 *                                                      └→ attention, slot 1 ┘
 * ```
 * | input | type and shape | instead of |
 * |---|---|---|
 * | `bounds@i`, `mask@i`, `past_keys.L@i`, `past_values.L@i` | as without `@i` | the same, of slot `i` |
 * | `row_positions` | int64 (n) | `bounds`, where rows are turned or looked up by their position |
 * | `slot_rows` | int64 (slots) | the number of rows in each slot |
 *
 * Everything else, and every output, is as model-kit's stage-graph.ts describes it, with n the rows of all slots. It is
 * made when a bundle is loaded, so a bundle needs no second set of files.
 */
import { assert } from '../errors.js';
import {
  encodeIntegers,
  encodeNode,
  encodeValue,
  fieldsOf,
  GRAPH,
  integersOf,
  joinBytes,
  MODEL_GRAPH,
  message,
  messageOf,
  NODE,
  TENSOR,
  TYPE,
  text,
  textsOf,
  VALUE,
} from './onnx-wire.js';

/** @throws AssertionError for a graph that model-kit did not write */
export function batchGraph(stage: Uint8Array, slots: number): Uint8Array<ArrayBuffer> {
  const rewrite = new GraphRewrite(slots);
  const pieces: Uint8Array[] = [];
  // model-kit writes the graph in two parts, which protobuf merges: the nodes, then the weights as they come.
  for (const { number, raw, content } of fieldsOf(stage)) {
    if (number === MODEL_GRAPH) rewrite.read(content);
    else pieces.push(raw);
  }
  pieces.push(...messageOf(MODEL_GRAPH, rewrite.fields()));
  return joinBytes(pieces);
}

/** The value of one slot. */
export function ofSlot(name: string, slot: number): string {
  return `${name}@${slot}`;
}

/** Inputs of which every slot has its own. */
const OWN_INPUT = /^(bounds|mask|past_(keys|values)\.\d+)$/;

interface Node {
  inputs: string[];
  outputs: string[];
  /** As it stands in the file, or as it is to stand there. */
  field: Uint8Array;
}

class GraphRewrite {
  readonly #slots: number;
  readonly #given: Uint8Array[] = [];
  /** What stays as it is. */
  readonly #kept: Uint8Array[] = [];
  readonly #results: string[] = [];
  /** Values that depend on no input. */
  readonly #constants = new Set<string>(['']);
  /** Values of which every slot has its own. */
  readonly #own = new Set<string>();
  /** Values of all rows: the dimension along which the rows lie, where a node has moved it. */
  readonly #rowAxis = new Map<string, number>();
  readonly #split = new Set<string>();
  readonly #nodes: Node[] = [];

  constructor(slots: number) {
    this.#slots = slots;
  }

  read(graph: Uint8Array): void {
    for (const { number, raw, content } of fieldsOf(graph)) {
      if (number === GRAPH.node) this.#given.push(content);
      else if (number === GRAPH.input) this.#kept.push(...this.#declare(content, raw));
      else this.#kept.push(raw);
      if (number === GRAPH.initializer) this.#constants.add(textsOf(content, TENSOR.name)[0]!);
      if (number === GRAPH.output) this.#results.push(textsOf(content, VALUE.name)[0]!);
    }
  }

  /** The fields of the new graph; weights are views of the old one. */
  fields(): Uint8Array[] {
    assert(this.#own.size >= 4, 'not a stage graph: bounds, mask, keys or values are missing');
    this.#addNode('Reshape', ['row_positions', 'batch.one_row'], ['batch.positions']);
    for (const node of this.#given) this.#add(node);
    return [
      ...this.#needed(this.#results).map(({ field }) => field),
      ...this.#kept,
      encodeIntegers('batch.one_row', [1, -1]),
      message(GRAPH.input, encodeValue('row_positions', TYPE.INT64, ['n'])),
      message(GRAPH.input, encodeValue('slot_rows', TYPE.INT64, [this.#slots])),
    ];
  }

  #declare(input: Uint8Array, raw: Uint8Array): Uint8Array[] {
    const name = textsOf(input, VALUE.name)[0]!;
    if (!OWN_INPUT.test(name)) return [raw];
    this.#own.add(name);
    const rest = [...fieldsOf(input)].filter(({ number }) => number !== VALUE.name).map((field) => field.raw);
    return this.#eachSlot((slot) => message(GRAPH.input, joinBytes([text(VALUE.name, ofSlot(name, slot)), ...rest])));
  }

  #add(content: Uint8Array): void {
    const inputs = textsOf(content, NODE.input);
    const outputs = textsOf(content, NODE.output);
    const [operator] = textsOf(content, NODE.operator);
    if (inputs.every((input) => this.#constants.has(input))) {
      for (const output of outputs) this.#constants.add(output);
      this.#nodes.push({ inputs, outputs, field: message(GRAPH.node, content) });
    } else if (operator === 'RotaryEmbedding') {
      this.#copy(content, [inputs[0]!, 'batch.positions', ...inputs.slice(2)], outputs);
    } else if (operator === 'Gather' && this.#own.has(inputs[1]!)) {
      this.#copy(content, [inputs[0]!, 'row_positions'], outputs);
    } else if (operator === 'Transpose') {
      this.#addTranspose(content, inputs[0]!, outputs);
    } else if (inputs.some((input) => this.#own.has(input))) {
      for (const input of inputs) this.#splitBySlot(input);
      for (const output of outputs) this.#own.add(output);
      const place = (slot: number) => (name: string) => (this.#constants.has(name) ? name : ofSlot(name, slot));
      this.#eachSlot((slot) => this.#copy(content, inputs.map(place(slot)), outputs.map(place(slot))));
    } else {
      this.#nodes.push({ inputs, outputs, field: message(GRAPH.node, content) });
    }
  }

  /** Where rows become one dimension of attention's, and where its result becomes rows again. */
  #addTranspose(content: Uint8Array, input: string, outputs: string[]): void {
    const axes = integersOf(content, 'perm');
    if (this.#own.has(input)) this.#addNode('Concat', this.#parts(input), [input], { axis: axes[0]! });
    else this.#rowAxis.set(outputs[0]!, axes.indexOf(0));
    this.#nodes.push({ inputs: [input], outputs, field: message(GRAPH.node, content) });
  }

  /** A value of all rows that a slot's node reads. */
  #splitBySlot(value: string): void {
    if (this.#constants.has(value) || this.#own.has(value) || this.#split.has(value)) return;
    this.#split.add(value);
    const axis = this.#rowAxis.get(value);
    assert(axis !== undefined, `not a stage graph: attention reads ${value}`);
    this.#addNode('Split', [value, 'slot_rows'], this.#parts(value), { axis });
  }

  /** Without those that only made what is now an input: they would run all the same. */
  #needed(results: readonly string[]): Node[] {
    const read = new Set(results);
    const needed: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => read.has(output))) continue;
      needed.push(node);
      for (const input of node.inputs) read.add(input);
    }
    return needed.reverse();
  }

  #parts(value: string): string[] {
    return this.#eachSlot((slot) => ofSlot(value, slot));
  }

  #eachSlot<Value>(make: (slot: number) => Value): Value[] {
    return Array.from({ length: this.#slots }, (_, slot) => make(slot));
  }

  #addNode(...[operator, inputs, outputs, attributes]: Parameters<typeof encodeNode>): void {
    const field = encodeNode(operator, inputs, outputs, attributes);
    this.#nodes.push({ inputs: [...inputs], outputs: [...outputs], field });
  }

  /** The same node with other links. */
  #copy(content: Uint8Array, inputs: string[], outputs: string[]): void {
    const links: number[] = [NODE.input, NODE.output, NODE.name];
    const rest = [...fieldsOf(content)].filter(({ number }) => !links.includes(number)).map(({ raw }) => raw);
    const field = message(
      GRAPH.node,
      joinBytes([
        ...inputs.map((input) => text(NODE.input, input)),
        ...outputs.map((output) => text(NODE.output, output)),
        text(NODE.name, outputs[0]!),
        ...rest,
      ]),
    );
    this.#nodes.push({ inputs, outputs, field });
  }
}
