/** A copy of the frame with some bits of one byte turned over. */
export function flip(frame: Uint8Array, offset: number, bits: number): Uint8Array {
  const damaged = frame.slice();
  damaged[offset] = damaged[offset]! ^ bits;
  return damaged;
}
