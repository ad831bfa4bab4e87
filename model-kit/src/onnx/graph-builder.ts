import { create } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type NodeProto,
  NodeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from './onnx_pb.js';

export { DataType };

/** Bytes that come one piece after the other. */
export type Pieces = AsyncIterable<Uint8Array>;

/** A constant of the graph. Its bytes are made only when the file is written, so that one tensor at a time is in memory. */
export interface Initializer {
  name: string;
  type: DataType;
  dims: number[];
  bytes: number;
  load(): Pieces | Promise<Uint8Array> | Uint8Array;
}

/** Whole numbers become ints, `{ float }` a float, arrays a list of ints, text stays text. */
export type AttributeValue = number | number[] | { float: number } | string;

export interface NodeOptions {
  attributes?: Record<string, AttributeValue>;
  /** Name of the first output. Default: made from the operator. */
  name?: string;
  /** Default 1. */
  outputs?: number;
}

/** The operators that come from ONNX Runtime and not from the ONNX standard. */
const MICROSOFT_OPERATORS = new Set(['MatMulNBits', 'RotaryEmbedding', 'GroupQueryAttention']);

/** Collects nodes and constants; values are known by their names. */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers = new Map<string, Initializer>();
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  #serial = 0;

  /** Strings in `dims` name sizes that are known only at run time. */
  input(name: string, type: DataType, dims: (number | string)[]): string {
    this.inputs.push(valueInfo(name, type, dims));
    return name;
  }

  output(name: string, type: DataType, dims: (number | string)[]): void {
    this.outputs.push(valueInfo(name, type, dims));
  }

  /** Adds a node and returns the name of its output. */
  node(operator: string, inputs: string[], options: NodeOptions = {}): string {
    return this.split(operator, inputs, options)[0]!;
  }

  /** Adds a node with several outputs and returns their names. */
  split(operator: string, inputs: string[], options: NodeOptions): string[] {
    const name = options.name ?? `${operator}_${this.#serial++}`;
    const output = Array.from({ length: options.outputs ?? 1 }, (_, i) => (i === 0 ? name : `${name}:${i}`));
    const attribute = Object.entries(options.attributes ?? {}).map(([key, value]) => attributeOf(key, value));
    const domain = MICROSOFT_OPERATORS.has(operator) ? 'com.microsoft' : '';
    this.nodes.push(create(NodeProtoSchema, { name, opType: operator, input: inputs, output, attribute, domain }));
    return output;
  }

  /** A constant by name; a name that exists already is used again. */
  initializer(initializer: Initializer): string {
    if (!this.initializers.has(initializer.name)) this.initializers.set(initializer.name, initializer);
    return initializer.name;
  }

  /** A small list of int64, as shapes and axes are. */
  ints(values: number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    return this.initializer({
      name: `ints_${values.join('_')}`,
      type: DataType.INT64,
      dims: [values.length],
      bytes: data.byteLength,
      load: () => new Uint8Array(data.buffer),
    });
  }

  /** One f32, `()`. */
  float(value: number): string {
    const data = Float32Array.of(value);
    const load = () => new Uint8Array(data.buffer);
    return this.initializer({ name: `float_${value}`, type: DataType.FLOAT, dims: [], bytes: 4, load });
  }

  /** The int64 `[begin, end)`, both `(1)`. */
  range(begin: string, end: string): string {
    const scalar = (value: string) => this.node('Reshape', [value, this.ints([])]);
    const one = this.node('Reshape', [this.ints([1]), this.ints([])]);
    return this.node('Range', [scalar(begin), scalar(end), one]);
  }
}

export function valueInfo(name: string, type: DataType, dims: (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) =>
    typeof size === 'string'
      ? { value: { case: 'dimParam' as const, value: size } }
      : { value: { case: 'dimValue' as const, value: BigInt(size) } },
  );
  const value = { case: 'tensorType' as const, value: { elemType: type, shape: { dim } } };
  return create(ValueInfoProtoSchema, { name, type: { value } });
}

export function attributeOf(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'string') {
    const s = new TextEncoder().encode(value);
    return create(AttributeProtoSchema, { name, s, type: AttributeType.STRING });
  }
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, i: BigInt(value), type: AttributeType.INT });
  if (Array.isArray(value))
    return create(AttributeProtoSchema, { name, ints: value.map(BigInt), type: AttributeType.INTS });
  return create(AttributeProtoSchema, { name, f: value.float, type: AttributeType.FLOAT });
}
