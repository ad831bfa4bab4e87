import type { RotaryAngles } from './arithmetic.js';
import type { ModelShape } from './model-weights.js';

/** Cosines and sines of the rotary angles, each `(positions, headDim / 2)`. */
export interface RopeTables {
  cosines: Float32Array;
  sines: Float32Array;
}

/** The tables of plain angles with the shape's base. */
export function ropeTables(shape: Pick<ModelShape, 'headDim' | 'ropeTheta'>, positions: number, scale = 1): RopeTables {
  return rotaryTables({ kind: 'plain', theta: shape.ropeTheta }, shape.headDim, positions, scale);
}

/**
 * Rotary position embedding (Su et al. 2021, "RoFormer"), half-rotation layout: elements `i` and `i + headDim/2`
 * of a head turn by the angle `position · theta^(-2i/headDim)`.
 *
 * The angles are computed in double precision. `scale` multiplies the whole table: the graph folds the scale of the scores
 * into the table of the queries, so that no separate scaling can be fused into a matrix product there. Without rotation
 * all angles are zero, and the table only scales.
 */
export function rotaryTables(angles: RotaryAngles, headDim: number, positions: number, scale = 1): RopeTables {
  const half = headDim / 2;
  const cosines = new Float32Array(positions * half);
  const sines = new Float32Array(positions * half);
  const factor = 'growth' in angles ? scale * angles.growth : scale;
  for (let i = 0; i < half; i++) {
    const frequency = frequencyOf(angles, i, headDim);
    for (let position = 0; position < positions; position++) {
      cosines[position * half + i] = Math.cos(position * frequency) * factor;
      sines[position * half + i] = Math.sin(position * frequency) * factor;
    }
  }
  return { cosines, sines };
}

/** Radians per position of pair `i`. */
function frequencyOf(angles: RotaryAngles, i: number, headDim: number): number {
  if (angles.kind === 'none') return 0;
  const frequency = angles.theta ** ((-2 * i) / headDim);
  switch (angles.kind) {
    case 'plain':
      return frequency;
    case 'linear':
      return frequency / angles.factor;
    case 'llama3':
      return stretch(frequency, angles);
    case 'yarn': {
      const kept = keptShare(angles, i, headDim);
      return (1 - kept) * (frequency / angles.factor) + kept * frequency;
    }
    case 'divided':
      return frequency / angles.divisors[i]!;
  }
}

/** How much of pair `i` stays as it is: all before the first border, nothing behind the second (Peng et al. 2023, "YaRN"). */
function keptShare(angles: RotaryAngles & { kind: 'yarn' }, i: number, headDim: number): number {
  const { theta, originalContext, keptRotations, dividedRotations, rounded } = angles;
  // The pair, as a real number, that turns so often in the original context.
  const pairOf = (rotations: number) =>
    (headDim * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = Math.max(0, rounded ? Math.floor(pairOf(keptRotations)) : pairOf(keptRotations));
  const second = Math.min(headDim - 1, rounded ? Math.ceil(pairOf(dividedRotations)) : pairOf(dividedRotations));
  const width = first === second ? 0.001 : second - first;
  return 1 - Math.min(1, Math.max(0, (i - first) / width));
}

/** As in the reference code of Llama 3.1: a wave that fits often into the original context stays as it is. */
function stretch(frequency: number, angles: RotaryAngles & { kind: 'llama3' }): number {
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = angles;
  const wavesInContext = (originalContext * frequency) / (2 * Math.PI);
  if (wavesInContext < lowFrequencyFactor) return frequency / factor;
  if (wavesInContext > highFrequencyFactor) return frequency;
  const kept = (wavesInContext - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
  return (1 - kept) * (frequency / factor) + kept * frequency;
}
