/** Just as much of the ONNX format as it takes to change a graph of ours: protobuf's wire, read and written field by field. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Field numbers of the ONNX standard. */
export const MODEL_GRAPH = 7;
export const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 } as const;
export const NODE = { input: 1, output: 2, name: 3, operator: 4, attribute: 5 } as const;
const ATTRIBUTE = { name: 1, integer: 3, integers: 8, type: 20 } as const;
export const TENSOR = { dims: 1, type: 2, integers: 7, name: 8 } as const;
export const VALUE = { name: 1, type: 2 } as const;
export const TYPE = { FLOAT: 1, INT64: 7 } as const;

/** One field of a message; both share the message's memory. */
export interface Field {
  number: number;
  /** With its tag. */
  raw: Uint8Array;
  /** Without; empty where it is a number. */
  content: Uint8Array;
}

export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < message.length) {
    const begin = reader.pos;
    const [number, wireType] = reader.tag();
    let content: Uint8Array = NOTHING;
    if (wireType === WireType.LengthDelimited) content = reader.bytes();
    else reader.skip(wireType, number);
    yield { number, raw: message.subarray(begin, reader.pos), content };
  }
}

/** The occurrences of one field. */
export function* contentsOf(message: Uint8Array, number: number): Generator<Uint8Array> {
  for (const field of fieldsOf(message)) if (field.number === number) yield field.content;
}

export function textsOf(message: Uint8Array, number: number): string[] {
  return Array.from(contentsOf(message, number), (content) => DECODER.decode(content));
}

/** The list of integers that a node has as an attribute; none where it has no such attribute. */
export function integersOf(node: Uint8Array, attribute: string): number[] {
  for (const content of contentsOf(node, NODE.attribute)) {
    if (textsOf(content, ATTRIBUTE.name)[0] !== attribute) continue;
    const reader = new BinaryReader(content);
    const integers: number[] = [];
    while (reader.pos < content.length) {
      const [number, wireType] = reader.tag();
      if (number !== ATTRIBUTE.integers) reader.skip(wireType, number);
      else if (wireType === WireType.Varint) integers.push(Number(reader.int64()));
      else for (const end = reader.uint32() + reader.pos; reader.pos < end; ) integers.push(Number(reader.int64()));
    }
    return integers;
  }
  return [];
}

/** A message as the field of another. */
export function message(number: number, content: Uint8Array): Uint8Array {
  return joinBytes(messageOf(number, [content]));
}

/** The same of the message's parts, which may be large: they are not copied. */
export function messageOf(number: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(length).finish(), ...parts];
}

export function text(number: number, value: string): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).string(value).finish();
}

/** Whole numbers become ints, arrays lists of ints. */
export type Attributes = Record<string, number | readonly number[]>;

/** A node of the standard's operators, named like its first output; a field of a graph. */
export function encodeNode(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Attributes = {},
): Uint8Array {
  const parts = [
    ...inputs.map((input) => text(NODE.input, input)),
    ...outputs.map((output) => text(NODE.output, output)),
    text(NODE.name, outputs[0]!),
    text(NODE.operator, operator),
    ...Object.entries(attributes).map(([name, value]) => message(NODE.attribute, encodeAttribute(name, value))),
  ];
  return message(GRAPH.node, joinBytes(parts));
}

function encodeAttribute(name: string, value: number | readonly number[]): Uint8Array {
  const writer = new BinaryWriter().tag(ATTRIBUTE.name, WireType.LengthDelimited).string(name);
  if (typeof value === 'number') writer.tag(ATTRIBUTE.integer, WireType.Varint).int64(value);
  else for (const each of value) writer.tag(ATTRIBUTE.integers, WireType.Varint).int64(each);
  // AttributeProto.AttributeType: INT is 2, INTS is 7.
  return writer
    .tag(ATTRIBUTE.type, WireType.Varint)
    .int32(typeof value === 'number' ? 2 : 7)
    .finish();
}

/** A constant int64 list; a field of a graph. */
export function encodeIntegers(name: string, values: readonly number[]): Uint8Array {
  const tensor = new BinaryWriter().tag(TENSOR.dims, WireType.Varint).int64(values.length);
  tensor.tag(TENSOR.type, WireType.Varint).int32(TYPE.INT64);
  for (const value of values) tensor.tag(TENSOR.integers, WireType.Varint).int64(value);
  tensor.tag(TENSOR.name, WireType.LengthDelimited).string(name);
  return message(GRAPH.initializer, tensor.finish());
}

/** What an input or an output is; `dims` left out is left to the runtime to infer, text names a size that varies. */
export function encodeValue(name: string, type: number, dims?: readonly (number | string)[]): Uint8Array {
  const tensor = new BinaryWriter().tag(1, WireType.Varint).int32(type);
  if (dims) tensor.tag(2, WireType.LengthDelimited).bytes(joinBytes(dims.map(encodeDimension)));
  return joinBytes([text(VALUE.name, name), message(VALUE.type, message(1, tensor.finish()))]);
}

function encodeDimension(size: number | string): Uint8Array {
  if (typeof size === 'string') return message(1, text(2, size));
  return message(1, new BinaryWriter().tag(1, WireType.Varint).int64(size).finish());
}

export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}

const NOTHING = new Uint8Array(0);
const DECODER = new TextDecoder();
