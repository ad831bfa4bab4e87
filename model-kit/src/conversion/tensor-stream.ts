import { TandemError } from '@tandem/shared';
import { arithmeticOf, type Checkpoint, type TensorName, tensorShape } from '../checkpoint.js';
import type { Converted, PublishedLines } from './convert-lines.js';
import type { Converter } from './converter.js';

/** Numbers in one job: enough to be worth a message, and a few of them fit beside each other into 100 MB. */
const JOB_NUMBERS = 2 ** 21;

/**
 * A tensor in the type `target`, piece by piece and in order; the pieces are converted side by side.
 *
 * @throws TandemError CHECKPOINT_INVALID for a tensor that is missing or holds NaN or infinity
 */
export async function* streamTensor(
  checkpoint: Checkpoint,
  converter: Converter,
  tensor: TensorName,
  target: 'f32' | 'f16' | 'q8' | 'q4',
): AsyncGenerator<Converted> {
  const dims = tensorShape(tensor, checkpoint.shape, arithmeticOf(checkpoint));
  const inputs = dims.at(-1)!;
  const running: Promise<Converted>[] = [];
  for await (const lines of publishedLines(checkpoint, tensor, dims)) {
    const result = converter.convert({ ...lines, target, inputs });
    // Told where it is awaited; until then it must not count as unhandled.
    result.catch(() => {});
    running.push(result);
    if (running.length >= converter.width) yield checked(tensor, await running.shift()!);
  }
  for (const result of running) yield checked(tensor, await result);
}

function checked(tensor: TensorName, result: Converted): Converted {
  if (result.isFinite) return result;
  throw new TandemError(
    'CHECKPOINT_INVALID',
    `${tensor} holds a number that is not finite; is the checkpoint damaged?`,
  );
}

/** Pieces of whole lines; the next is read while one is worked on. */
async function* publishedLines(
  checkpoint: Checkpoint,
  tensor: TensorName,
  dims: number[],
): AsyncGenerator<PublishedLines> {
  const [count, inputs] = dims.length === 1 ? [1, dims[0]!] : (dims as [number, number]);
  const step = Math.max(1, Math.floor(JOB_NUMBERS / inputs));
  let whole: Promise<Float32Array> | undefined;
  const read = async (begin: number): Promise<PublishedLines> => {
    const end = Math.min(count, begin + step);
    const lines = dims.length === 1 ? undefined : await checkpoint.readLines?.(tensor, begin, end);
    if (lines !== undefined) return lines;
    whole ??= checkpoint.read(tensor);
    // A copy: the converter keeps what it is given, and a checkpoint in memory lives on.
    const part = (await whole).slice(begin * inputs, end * inputs);
    return { bytes: new Uint8Array(part.buffer), type: 'F32', offset: 0 };
  };
  let next = read(0);
  for (let begin = 0; begin < count; begin += step) {
    const lines = await next;
    if (begin + step < count) {
      next = read(begin + step);
      // Told where it is awaited; until then it must not count as unhandled.
      next.catch(() => {});
    }
    yield lines;
  }
}
