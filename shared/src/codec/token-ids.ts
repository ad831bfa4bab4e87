/** Token ids as payload: 2 bytes each where the vocabulary allows it, else 4; little-endian. */
export function bytesPerTokenId(vocabularySize: number): 2 | 4 {
  return vocabularySize <= 65_536 ? 2 : 4;
}

export function encodeTokenIds(tokens: ArrayLike<number>, vocabularySize: number): Uint8Array {
  const wide = bytesPerTokenId(vocabularySize) === 4;
  return new Uint8Array((wide ? Uint32Array.from(tokens) : Uint16Array.from(tokens)).buffer);
}

/** `bytes` may start at any offset. The ids are not checked against the vocabulary here. */
export function decodeTokenIds(bytes: Uint8Array, vocabularySize: number): Int32Array {
  // Not bytes.slice(): a Buffer would answer with another view of the same memory.
  const copy = new Uint8Array(bytes);
  const ids = bytesPerTokenId(vocabularySize) === 4 ? new Uint32Array(copy.buffer) : new Uint16Array(copy.buffer);
  return Int32Array.from(ids);
}
