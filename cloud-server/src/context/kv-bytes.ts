import type { ContextKind, Manifest } from '@tandem/shared';

const FLOAT_BYTES = 4;

/** KV of one position: of all layers for token ids, of those behind the cut for rows. */
export function kvBytesPerPosition({ layers, cut, kvHeads, headDim }: Manifest): (context: ContextKind) => number {
  const perLayer = 2 * kvHeads * headDim * FLOAT_BYTES;
  return (context) => perLayer * (context === 'rows' ? layers - cut : layers);
}
