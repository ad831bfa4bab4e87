import { type Checkpoint, DataType, GraphBuilder, StageWeights, type TensorName } from '@tandem/model-kit';
import { type Format, ropeTables } from '@tandem/shared';

/**
 * The same layers in the usual way: `GroupQueryAttention` takes the whole past and gives the whole present, which JavaScript
 * fetches after every step and feeds again. Inputs `rows (1, n, width)`, `seqlens_k (1)`, `total ()`, `past_key.L` and
 * `past_value.L (1, kvHeads, past, headDim)`.
 */
export function buildFetchedGraph(checkpoint: Checkpoint, layers: number, format: Format): GraphBuilder {
  const graph = new GraphBuilder();
  const weights = new StageWeights(graph, checkpoint, format);
  const { width, contextLength, headDim } = checkpoint.shape;
  const table = (part: 'cosines' | 'sines') => {
    const bytes = contextLength * headDim * 2;
    const load = () => new Uint8Array(ropeTables(checkpoint.shape, contextLength)[part].buffer);
    return graph.initializer({ name: part, type: DataType.FLOAT, dims: [contextLength, headDim / 2], bytes, load });
  };
  const common = {
    total: graph.input('total', DataType.INT32, []),
    lengths: graph.input('seqlens_k', DataType.INT32, [1]),
  };
  const tables = [table('cosines'), table('sines')];
  // Products of unquantised weights take matrices, attention a batch of them; a reshape copies nothing.
  const isFlat = format === 'f32' || format === 'f16';
  const flat = (name: string) => (isFlat ? graph.node('Reshape', [name, graph.ints([-1, width])]) : name);
  const batched = (name: string) => (isFlat ? graph.node('Reshape', [name, graph.ints([1, -1, width])]) : name);
  let rows = flat(graph.input('rows', DataType.FLOAT, [1, 'n', width]));
  for (let layer = 0; layer < layers; layer++)
    rows = addLayer(graph, weights, checkpoint, layer, rows, { ...common, tables, flat, batched });
  graph.node('Identity', [batched(rows)], { name: 'output_rows' });
  graph.output('output_rows', DataType.FLOAT, [1, 'n', width]);
  return graph;
}

function addLayer(
  graph: GraphBuilder,
  weights: StageWeights,
  { shape }: Checkpoint,
  layer: number,
  rows: string,
  inputs: {
    total: string;
    lengths: string;
    tables: string[];
    flat(name: string): string;
    batched(name: string): string;
  },
): string {
  const tensor = (part: string) => `layers.${layer}.${part}` as TensorName;
  const norm = (input: string, part: string) =>
    graph.node('SimplifiedLayerNormalization', [input, weights.floats(tensor(part))], {
      attributes: { axis: -1, epsilon: { float: shape.normEpsilon } },
    });
  const cacheDims = [1, shape.kvHeads, 'past', shape.headDim];
  const past = ['key', 'value'].map((kind) => graph.input(`past_${kind}.${layer}`, DataType.FLOAT, cacheDims));
  const normed = norm(rows, 'attentionNorm');
  const projected = ['query', 'key', 'value'].map((part) => inputs.batched(weights.multiply(normed, tensor(part))));
  const [attended, ...present] = graph.split(
    'GroupQueryAttention',
    [...projected, ...past, inputs.lengths, inputs.total, ...inputs.tables],
    {
      attributes: { num_heads: shape.heads, kv_num_heads: shape.kvHeads, do_rotary: 1 },
      outputs: 3,
    },
  );
  for (const name of present) graph.output(name, DataType.FLOAT, [1, shape.kvHeads, 'present', shape.headDim]);
  const afterAttention = graph.node('Add', [rows, weights.multiply(inputs.flat(attended!), tensor('output'))]);
  const normedAgain = norm(afterAttention, 'feedForwardNorm');
  const gate = weights.multiply(normedAgain, tensor('gate'));
  const up = weights.multiply(normedAgain, tensor('up'));
  const silu = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])]);
  return graph.node('Add', [afterAttention, weights.multiply(graph.node('Mul', [silu, up]), tensor('down'))]);
}
