/**
 * Takes exit heads of stage files apart and puts maps into them, whatever architecture wrote the rest.
 *
 * A head begins where the wanted rows are gathered: `Gather(rows, wanted) → [Gemm: the map] → norm → … → logits`.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { floatsToHalves, halvesToFloats, TandemError } from '@tandem/shared';
import { bytesOf } from '../checkpoint.js';
import { attributeOf, DataType, valueInfo } from './graph-builder.js';
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './onnx_pb.js';

/** Row → row: `rows · weightᵀ + bias`, with `weight (width, width)` and `bias (width)`, as in a checkpoint's exits. */
export interface ExitMap {
  weight: Float32Array;
  bias: Float32Array;
}

const MAPPED = 'exit_map';

/** Whether the stage's head begins with a map; a raw exit's rows go into the model's norm as they are. */
export function hasExitMap(stage: Uint8Array): boolean {
  return findHead(parse(stage)).map !== undefined;
}

/** The map in the stage's head; undefined for a raw exit. @throws TandemError BUNDLE_CORRUPT where its numbers lie in another file */
export function readExitMap(stage: Uint8Array): ExitMap | undefined {
  const model = parse(stage);
  const { map } = findHead(model);
  if (!map) return undefined;
  const [, weight, bias] = map.input;
  const cast = model.graph!.node.find(({ output }) => output.includes(weight!));
  return { weight: readTensor(model, cast?.input[0] ?? weight!), bias: readTensor(model, bias!) };
}

/**
 * The head alone, with the map as an input: `rows (m, width)`, `weight (width, width)`, `bias (width)` → `logits (m, vocabulary)`. Any
 * number of maps can be tried on it.
 */
export function exitHeadModel(stage: Uint8Array, width: number): Uint8Array {
  const model = parse(stage);
  const { gather, map } = findHead(model);
  const start = map?.output[0] ?? gather.output[0]!;
  const nodes = nodesBetween(model.graph!, start, 'logits').map((node) => rewire(node, start, MAPPED));
  const inputs = [
    valueInfo('rows', DataType.FLOAT, ['m', width]),
    valueInfo('weight', DataType.FLOAT, [width, width]),
    valueInfo('bias', DataType.FLOAT, [width]),
  ];
  return headModel(model, [gemm('rows', 'weight', 'bias'), ...nodes], inputs);
}

/** The head alone with the map that is in it, if there is one: `rows (m, width)` → `logits (m, vocabulary)`. */
export function ownHeadModel(stage: Uint8Array, width: number): Uint8Array {
  const model = parse(stage);
  const start = findHead(model).gather.output[0]!;
  const nodes = nodesBetween(model.graph!, start, 'logits').map((node) => rewire(node, start, 'rows'));
  return headModel(model, nodes, [valueInfo('rows', DataType.FLOAT, ['m', width])]);
}

function headModel(model: ModelProto, nodes: NodeProto[], inputs: GraphProto['input']): Uint8Array {
  const graph = model.graph!;
  const used = new Set(nodes.flatMap(({ input }) => input));
  graph.node = nodes;
  graph.initializer = graph.initializer.filter(({ name }) => used.has(name));
  graph.input = inputs;
  graph.output = graph.output.filter(({ name }) => name === 'logits');
  return toBinary(ModelProtoSchema, model);
}

/** The same stage with this map in its head, in place of one that may be there. `isHalf`: weights in f16, as other formats than f32 have them. */
export function withExitMap(stage: Uint8Array, { weight, bias }: ExitMap, isHalf: boolean): Uint8Array {
  const model = parse(stage);
  const graph = model.graph!;
  const { gather, map } = findHead(model);
  const start = map?.output[0] ?? gather.output[0]!;
  const width = bias.length;
  const weightName = 'exit_map.weight';
  const cast = create(NodeProtoSchema, {
    name: 'exit_map.cast',
    opType: 'Cast',
    input: [weightName],
    output: [`${weightName}.f32`],
    attribute: [attributeOf('to', DataType.FLOAT)],
  });
  const mapping = gemm(gather.output[0]!, isHalf ? `${weightName}.f32` : weightName, 'exit_map.bias');
  const others = graph.node.filter((node) => node !== map && !node.output.includes(MAPPED) && node.name !== cast.name);
  // Right behind the rows that it reads; ONNX wants nodes in the order in which they run.
  const at = others.indexOf(gather) + 1;
  graph.node = [
    ...others.slice(0, at),
    ...(isHalf ? [cast] : []),
    mapping,
    ...others.slice(at).map((node) => rewire(node, start, MAPPED)),
  ];
  const used = new Set(graph.node.flatMap(({ input }) => input));
  graph.initializer = [
    ...graph.initializer.filter(({ name }) => used.has(name) && name !== weightName && name !== 'exit_map.bias'),
    isHalf ? halves(weightName, [width, width], weight) : floats(weightName, [width, width], weight),
    floats('exit_map.bias', [width], bias),
  ];
  return toBinary(ModelProtoSchema, model);
}

function parse(stage: Uint8Array): ModelProto {
  return fromBinary(ModelProtoSchema, stage);
}

/** `map`: the product behind the gathered rows, if the head begins with one. */
function findHead({ graph }: ModelProto): { gather: NodeProto; map: NodeProto | undefined } {
  const gather = graph?.node.find(({ opType, input }) => opType === 'Gather' && input[1] === 'wanted');
  if (!gather)
    throw new TandemError('BUNDLE_CORRUPT', 'a stage file has no head that can take an exit map; prepare it again');
  const map = graph!.node.find(({ opType, input }) => opType === 'Gemm' && input[0] === gather.output[0]);
  return { gather, map };
}

/** The nodes that `end` needs and that come behind `start`, in their order. */
function nodesBetween(graph: GraphProto, start: string, end: string): NodeProto[] {
  const needed = new Set([end]);
  return graph.node
    .toReversed()
    .filter(({ input, output }) => {
      if (output.includes(start) || !output.some((name) => needed.has(name))) return false;
      for (const name of input) needed.add(name);
      return true;
    })
    .reverse();
}

function rewire(node: NodeProto, from: string, to: string): NodeProto {
  if (!node.input.includes(from)) return node;
  return { ...node, input: node.input.map((name) => (name === from ? to : name)) };
}

function gemm(rows: string, weight: string, bias: string): NodeProto {
  return create(NodeProtoSchema, {
    name: MAPPED,
    opType: 'Gemm',
    input: [rows, weight, bias],
    output: [MAPPED],
    attribute: [attributeOf('transB', 1)],
  });
}

function readTensor({ graph }: ModelProto, name: string): Float32Array {
  const tensor = graph!.initializer.find((initializer) => initializer.name === name);
  if (!tensor) throw new TandemError('BUNDLE_CORRUPT', `an exit map of a stage file has no ${name}; prepare it again`);
  if (tensor.rawData.length === 0)
    throw new TandemError('BUNDLE_CORRUPT', `${name} of an exit map lies in a data file; prepare with --exits again`);
  // A copy, because the bytes lie at any offset of the file.
  const { buffer } = new Uint8Array(tensor.rawData);
  if (tensor.dataType === DataType.FLOAT) return new Float32Array(buffer);
  const values = new Float32Array(tensor.rawData.length / 2);
  halvesToFloats(new Uint16Array(buffer), values);
  return values;
}

function floats(name: string, dims: number[], data: Float32Array): TensorProto {
  return tensor(name, DataType.FLOAT, dims, bytesOf(data));
}

function halves(name: string, dims: number[], data: Float32Array): TensorProto {
  const packed = new Uint16Array(data.length);
  floatsToHalves(data, packed);
  return tensor(name, DataType.FLOAT16, dims, bytesOf(packed));
}

function tensor(name: string, dataType: DataType, dims: number[], rawData: Uint8Array): TensorProto {
  return create(TensorProtoSchema, { name, dataType, dims: dims.map(BigInt), rawData });
}
