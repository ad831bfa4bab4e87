/**
 * A language model in four lines. The device's part: a row is a hash of all tokens up to it. The cloud's part: a state
 * is a hash of all rows up to it, as its KV cache would be, and the next token a hash of the state. One wrong, missing
 * or repeated row on the server therefore changes every choice after it.
 */
export const VOCABULARY_SIZE = 50;

function mix(hash: number, value: number): number {
  const x = Math.imul(hash ^ value, 0x9e3779b1);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Row of a token behind `previous`, the row before it (0 for the first). */
export function rowOf(previous: number, token: number): number {
  return mix(mix(previous, token + 1), 77);
}

/** State of the deeper stages behind `previous`, the state before it (0 for the first). */
export function stateOf(previous: number, row: number): number {
  return mix(mix(previous, row), 31);
}

/** What the whole model chooses in this state. */
export function choiceOf(state: number): number {
  return mix(state, 1234) % VOCABULARY_SIZE;
}

/** What the exit drafts: the right token with probability `accuracy`, fixed by the state. */
export function draftOf(state: number, accuracy: number): number {
  if ((mix(state, 99) % 1000) / 1000 < accuracy) return choiceOf(state);
  return (choiceOf(state) + 1 + (mix(state, 5) % (VOCABULARY_SIZE - 1))) % VOCABULARY_SIZE;
}

/** Whether the server hands over in this state, and what the larger model writes there. */
export function isHandedOver(state: number): boolean {
  return mix(state, 4321) % 6 === 0;
}

export function passageOf(state: number): number[] {
  return Array.from({ length: 1 + (mix(state, 17) % 4) }, (_, index) => mix(state, 500 + index) % VOCABULARY_SIZE);
}

export function rowsOf(tokens: readonly number[]): number[] {
  let row = 0;
  return tokens.map((token) => {
    row = rowOf(row, token);
    return row;
  });
}

export function statesOf(rows: readonly number[]): number[] {
  let state = 0;
  return rows.map((row) => {
    state = stateOf(state, row);
    return state;
  });
}

/** Four bytes a row. */
export function packRows(rows: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(rows).buffer);
}

export function unpackRows(bytes: Uint8Array): number[] {
  return [...new Uint32Array(bytes.slice().buffer)];
}
