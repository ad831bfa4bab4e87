import { type Engine, GREEDY } from '@tandem/shared';

/** A run of many rows and one of a single row: kernels change between them, at two rows, at four, at sixteen. */
const GROUPS = [17, 1];
const ROWS = 18;

/**
 * What this device's stages make of a few fixed tokens, to the last bit, as 32 bytes of SHA-256. Native code and
 * WebAssembly, two versions of a runtime, two kinds of processor sum in different orders; rows of one must not stand for
 * rows of another, and no name of theirs would tell as surely as what they compute. Takes two runs.
 */
export async function kernelFingerprint(engine: Engine): Promise<Uint8Array> {
  const { deviceStages, vocabularySize, contextLength, width } = engine.info;
  const session = 'kernel-fingerprint';
  const rows = Math.min(ROWS, contextLength);
  const tokens = Int32Array.from({ length: rows }, (_, index) => (index * 7_919 + 1) % vocabularySize);
  await engine.open({ session, firstStage: 0, endStage: deviceStages, capacity: rows, codec: 'f32' });
  const bits = new Uint8Array(rows * width * Float32Array.BYTES_PER_ELEMENT);
  let from = 0;
  for (const count of GROUPS) {
    const input = { kind: 'tokens' as const, tokens: tokens.slice(from, from + count) };
    if (input.tokens.length === 0) break;
    const step = { session, from, input, depth: deviceStages, want: [], drafts: [], sampling: GREEDY };
    const { encodedRows } = await engine.step(step);
    bits.set(encodedRows, (from * bits.length) / rows);
    from += input.tokens.length;
  }
  await engine.close(session);
  return new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bits));
}
