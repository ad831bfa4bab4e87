import { TandemError } from '@tandem/shared';
import type { Checkpoint, TensorName } from './checkpoint.js';

/**
 * A checkpoint for fewer positions than it was made for; its position tables are shorter then.
 *
 * @throws TandemError INVALID_OPTION
 */
export function withContextLength(checkpoint: Checkpoint, contextLength: number | undefined): Checkpoint {
  const { shape } = checkpoint;
  if (contextLength === undefined || contextLength === shape.contextLength) return checkpoint;
  if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > shape.contextLength) {
    const message = `context of ${contextLength} positions; choose 1 to ${shape.contextLength}, those of the model`;
    throw new TandemError('INVALID_OPTION', message);
  }
  const read = async (tensor: TensorName) => {
    const values = await checkpoint.read(tensor);
    return tensor === 'positions' ? values.slice(0, contextLength * shape.width) : values;
  };
  return {
    name: checkpoint.name,
    architecture: checkpoint.architecture,
    arithmetic: checkpoint.arithmetic,
    shape: { ...shape, contextLength },
    tiedHead: checkpoint.tiedHead,
    bosTokenId: checkpoint.bosTokenId,
    eosTokenIds: checkpoint.eosTokenIds,
    fittedExits: checkpoint.fittedExits,
    tokenizer: checkpoint.tokenizer,
    read,
    readLines: async (tensor, begin, end) => await checkpoint.readLines?.(tensor, begin, end),
    identity: checkpoint.identity,
    fingerprint: (signal) => checkpoint.fingerprint(signal),
    close: () => checkpoint.close(),
  };
}
