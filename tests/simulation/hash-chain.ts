/**
 * A language model made of hashes, three stages deep. The state of a stage is a hash of everything that it was fed, as
 * a KV cache is, so that one missing, doubled or stale row changes every choice after it; and the row that it hands on
 * is all that the next stage sees.
 */
export const STAGES = 3;
export const DEVICE_STAGES = 2;
/** Numbers of a row. Each is an integer below 2,048, which f32 and f16 carry exactly. */
export const WIDTH = 2;
export const VOCABULARY = 24;
export const EOS = 0;
/** Between words. */
export const SPACE = 1;
export const CONTEXT_LENGTH = 512;

const NUMBER_BITS = 11;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;
/** How far the model's own choice stands out of the noise, which is up to 2. */
const PEAK = 5;

export function mix(hash: number, value: number): number {
  const x = Math.imul(hash ^ value, 0x9e3779b1);
  const y = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
  return (y ^ (y >>> 13)) >>> 0;
}

export function nextState(stage: number, previous: number, input: number): number {
  return mix(mix(previous, input + 1), 0x51ed27 + stage);
}

/** What a stage reads: a token id, or a row as one number. */
export function inputOf(row: ArrayLike<number>, offset: number): number {
  return row[offset]! * (NUMBER_MASK + 1) + row[offset + 1]!;
}

export function rowOf(state: number): [number, number] {
  const hash = mix(state, 77);
  return [hash & NUMBER_MASK, (hash >>> NUMBER_BITS) & NUMBER_MASK];
}

/**
 * States of the stages `[first, STAGES)`. An early stage carries those of the later ones along, in order to make exits
 * that are right more often than not; nothing but its own row leaves it.
 */
export function advance(first: number, states: readonly number[], input: number): number[] {
  const next: number[] = [];
  let seen = input;
  for (let index = 0; index < states.length; index++) {
    const state = nextState(first + index, states[index]!, seen);
    next.push(state);
    seen = inputOf(rowOf(state), 0);
  }
  return next;
}

export function initialStates(first: number): number[] {
  return Array.from({ length: STAGES - first }, () => 0);
}

/** The whole model's logits, `(VOCABULARY)`, from the state of the last stage. */
export function finalLogits(state: number): Float32Array {
  return logitsOf(state, PEAK);
}

/** Logits of the exit at the end of device stage `stage`: the model's own with probability `accuracy`, else others, less sure. */
export function exitLogits(stage: number, lastState: number, accuracy: number): Float32Array {
  const luck = mix(lastState, 901 + stage);
  if ((luck & 1023) / 1024 < accuracy) return logitsOf(lastState, PEAK);
  // A few of the wrong ones are as sure of themselves as the right ones.
  return logitsOf(mix(lastState, 331 + stage), luck >>> 29 === 0 ? PEAK : PEAK - 2);
}

function logitsOf(state: number, peak: number): Float32Array {
  const logits = new Float32Array(VOCABULARY);
  for (let token = 0; token < VOCABULARY; token++) logits[token] = (mix(state, token) >>> 16) / 32_768;
  logits[mix(state, 1234) % VOCABULARY]! += peak;
  return logits;
}
