import { createHash } from 'node:crypto';
import { type Checkpoint, type TensorName, tensorShape } from '@tandem/model-kit';
import { type ModelShape, seededRandom } from '@tandem/shared';

/** Width and heads of GPT-2's smallest, with one layer more than the `layers` that are measured: so the cut is a boundary, and the stage has no head. */
export function wideShape(layers: number, contextLength: number): ModelShape {
  return {
    width: 768,
    layers: layers + 1,
    heads: 12,
    kvHeads: 12,
    headDim: 64,
    feedForward: 2048,
    vocabularySize: 1000,
    contextLength,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
  };
}

/** A model of random weights that are made when they are read: the time of a step does not depend on their values. */
export function randomCheckpoint(shape: ModelShape): Checkpoint {
  const label = JSON.stringify(shape);
  const read = async (tensor: TensorName) => {
    const dims = tensorShape(tensor, shape);
    const random = seededRandom(createHash('sha256').update(tensor).digest().readInt32LE());
    const values = new Float32Array(dims.reduce((product, size) => product * size, 1));
    // Norms near one, matrices that keep the size of what they multiply.
    const reach = dims.length === 1 ? 0.1 : Math.sqrt(3 / dims[1]!);
    const middle = dims.length === 1 ? 1 : 0;
    for (let i = 0; i < values.length; i++) values[i] = middle + (random.next() * 2 - 1) * reach;
    return values;
  };
  return {
    name: 'random',
    shape,
    tiedHead: true,
    bosTokenId: null,
    eosTokenIds: [],
    fittedExits: [],
    tokenizer: [],
    read,
    fingerprint: async () => createHash('sha256').update(label).digest('hex'),
    close: async () => {},
  };
}
