import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { GraphBuilder, Initializer } from './graph-builder.js';
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema } from './onnx_pb.js';

/** protobuf readers take no message of 2 GiB or more; a mebibyte is left for the graph. */
export const INLINE_WEIGHT_BYTES_MAX = 2 ** 31 - 1 - 1024 * 1024;
/** Smaller constants stay in the graph: shapes and axes must be there before any weight is read. */
const EXTERNAL_BYTES_MIN = 4_096;
/** Weights in a file of their own begin at multiples of it, so that they can be mapped into memory. */
const PAGE_BYTES = 4_096;
/** ONNX operator set 20 of IR version 10: what onnxruntime 1.17 and later read. */
const OPERATOR_SET = 20n;
const IR_VERSION = 10n;

const GRAPH_FIELD = ModelProtoSchema.field.graph.number;
const INITIALIZER_FIELD = GraphProtoSchema.field.initializer.number;
const RAW_DATA_FIELD = TensorProtoSchema.field.rawData.number;
/** Of `TensorProto` in the ONNX standard, not in our excerpt: `external_data`, and `data_location` with 1 for external. */
const EXTERNAL_DATA_FIELD = 13;
const DATA_LOCATION_FIELD = 14;

/** Bytes of a file whose number is known before they are made. */
export interface FilePiece extends Pick<Initializer, 'bytes' | 'load'> {
  name: string;
}

export interface ModelFiles {
  /** The ONNX file. */
  model: FilePiece[];
  /** The file of weights beside it; empty where all are in the ONNX file. */
  data: FilePiece[];
}

/**
 * What the files of a graph consist of.
 *
 * protobuf merges repeated occurrences of an embedded message. So the graph without its weights comes first, and each weight
 * follows as one more `graph { initializer }`: only a piece of one tensor is in memory at a time. Weights of 2 GiB and
 * more go into a file of their own (ONNX external data), which must lie beside the ONNX file as `dataFile`.
 */
export function layoutModel(
  graph: GraphBuilder,
  name: string,
  dataFile: string,
  inlineBytesMax = INLINE_WEIGHT_BYTES_MAX,
): ModelFiles {
  const initializers = [...graph.initializers.values()];
  const weightBytes = initializers.reduce((sum, { bytes }) => sum + bytes, 0);
  const isExternal = ({ bytes }: Initializer) => weightBytes > inlineBytesMax && bytes >= EXTERNAL_BYTES_MIN;
  const files: ModelFiles = { model: [fixedPiece('graph', encodeGraph(graph, name))], data: [] };
  let offset = 0;
  for (const initializer of initializers) {
    if (!isExternal(initializer)) {
      files.model.push(fixedPiece('header', inlineHeader(initializer)), initializer);
      continue;
    }
    const padding = (PAGE_BYTES - (offset % PAGE_BYTES)) % PAGE_BYTES;
    if (padding > 0) files.data.push(fixedPiece('padding', new Uint8Array(padding)));
    offset += padding;
    files.model.push(fixedPiece('reference', externalReference(initializer, dataFile, offset)));
    files.data.push(initializer);
    offset += initializer.bytes;
  }
  return files;
}

/** The bytes of a graph that fits into one ONNX file. */
export async function* encodeModel(graph: GraphBuilder, name: string): AsyncGenerator<Uint8Array> {
  for (const piece of layoutModel(graph, name, '').model) yield* loadPiece(piece);
}

/** @throws Error when a piece is not as long as it said: a bug of ours */
export async function* loadPiece(piece: FilePiece): AsyncGenerator<Uint8Array> {
  const loaded = await piece.load();
  let bytes = 0;
  for await (const part of loaded instanceof Uint8Array ? [loaded] : loaded) {
    bytes += part.byteLength;
    yield part;
  }
  if (bytes !== piece.bytes) throw new Error(`${piece.name}: ${bytes} bytes, announced ${piece.bytes}`);
}

function fixedPiece(name: string, content: Uint8Array): FilePiece {
  return { name, bytes: content.byteLength, load: () => content };
}

/** Everything but the weights. */
function encodeGraph(graph: GraphBuilder, name: string): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'tandem',
      opsetImport: [
        { domain: '', version: OPERATOR_SET },
        { domain: 'com.microsoft', version: 1n },
      ],
      graph: { name, node: graph.nodes, input: graph.inputs, output: graph.outputs },
    }),
  );
}

function labelsOf({ name, type, dims }: Initializer): Uint8Array {
  return toBinary(TensorProtoSchema, create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt) }));
}

/** Everything of `graph { initializer { … raw_data } }` before the data itself. */
function inlineHeader(initializer: Initializer): Uint8Array {
  const { bytes } = initializer;
  const labels = labelsOf(initializer);
  const dataHeader = new BinaryWriter().tag(RAW_DATA_FIELD, WireType.LengthDelimited).uint32(bytes).finish();
  return inGraph(labels.length + dataHeader.length + bytes, [labels, dataHeader]);
}

/** `graph { initializer { … external_data: location, offset, length } }`. */
function externalReference(initializer: Initializer, location: string, offset: number): Uint8Array {
  const entries = { location, offset: String(offset), length: String(initializer.bytes) };
  const writer = new BinaryWriter().raw(labelsOf(initializer));
  for (const [key, value] of Object.entries(entries)) {
    const entry = new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .string(key)
      .tag(2, WireType.LengthDelimited)
      .string(value)
      .finish();
    writer.tag(EXTERNAL_DATA_FIELD, WireType.LengthDelimited).bytes(entry);
  }
  const tensor = writer.tag(DATA_LOCATION_FIELD, WireType.Varint).int32(1).finish();
  return inGraph(tensor.length, [tensor]);
}

/** The begin of `graph { initializer { … } }`, whose inner message has `tensorBytes`. */
function inGraph(tensorBytes: number, parts: Uint8Array[]): Uint8Array {
  const tensorHeader = new BinaryWriter().tag(INITIALIZER_FIELD, WireType.LengthDelimited).uint32(tensorBytes).finish();
  const writer = new BinaryWriter()
    .tag(GRAPH_FIELD, WireType.LengthDelimited)
    .uint32(tensorHeader.length + tensorBytes)
    .raw(tensorHeader);
  for (const part of parts) writer.raw(part);
  return writer.finish();
}
