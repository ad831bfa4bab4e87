import { seededRandom } from '../platform/random.js';
import type { StageInput, StageModel, StageOutput } from './stage.js';

/**
 * One run of many rows; then single rows and a run of fewer: kernels change at two rows, at four, at sixteen. The last row
 * reads the keys and values that the others left.
 */
const TOGETHER = [17, 1];
const APART = [1, 1, 1, 14, 1];
const ROWS = 18;

/**
 * Whether a few rows have the same bits however they are grouped, on this processor with these weights.
 *
 * ONNX Runtime picks its kernels by processor; not all of them have been tested. Takes seven runs.
 */
export async function hasIndependentRows(
  model: StageModel,
  input: 'tokens' | 'rows',
  contextLength: number,
): Promise<boolean> {
  if (contextLength < ROWS) return true;
  const together = await run(model, input, TOGETHER);
  const apart = await run(model, input, APART);
  return together.every((bits, i) => bits === apart[i]);
}

/** All rows, then all logits, as bits. */
async function run(model: StageModel, input: 'tokens' | 'rows', groups: number[]): Promise<Uint32Array> {
  const stage = model.open(ROWS);
  const outputs: StageOutput[] = [];
  for (const count of groups) {
    const wanted = Int32Array.from({ length: model.hasHead ? count : 0 }, (_, i) => i);
    outputs.push(await stage.forward(probeInput(model, input, stage.length, count), wanted));
  }
  stage.dispose();
  const parts = [...outputs.map(({ rows }) => rows), ...outputs.map(({ logits }) => logits)];
  const bits = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bits.set(new Uint32Array(part.buffer, part.byteOffset, part.length), offset);
    offset += part.length;
  }
  return bits;
}

/** The same numbers for the same positions in every grouping. */
function probeInput(model: StageModel, input: 'tokens' | 'rows', begin: number, count: number): StageInput {
  const random = seededRandom(1);
  if (input === 'tokens') {
    const tokens = Int32Array.from({ length: ROWS }, () => Math.floor(random.next() * model.vocabularySize));
    return { kind: input, tokens: tokens.slice(begin, begin + count) };
  }
  const rows = Float32Array.from({ length: ROWS * model.width }, () => random.next() * 4 - 2);
  return { kind: input, rows: rows.slice(begin * model.width, (begin + count) * model.width) };
}
