/** Seeded randomness. Nothing outside `platform/` calls `Math.random`. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes PractRand, four additions per draw. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88;
  let c = 0xb7e15162 ^ Math.imul(seed, 0x85ebca6b);
  let d = 1;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  // The first draws of neighbouring seeds are alike; throw them away.
  for (let round = 0; round < 15; round++) next();
  return { next };
}

/** For back-off jitter and ids only; never for anything that reaches the text. */
export const systemRandom: Random = { next: () => Math.random() };
