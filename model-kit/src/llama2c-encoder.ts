/** Byte pieces begin behind unknown, beginning and end. */
const FIRST_BYTE_ID = 3;

/**
 * Text to token ids with the pieces of a llama2.c tokenizer: byte-pair merges as SentencePiece makes them, the beginning
 * token first. Pieces stand in the file in the order in which they were learned, so of all possible merges the one with the
 * lowest id comes first.
 */
export function encodeLlama2c(pieces: readonly Uint8Array[], text: string, bosTokenId = 1): number[] {
  const names = pieces.map((piece) => new TextDecoder().decode(piece));
  const idOf = new Map(names.map((name, id) => [name, id]));
  // Words never grow together: apart, they merge in no time.
  const words = ` ${text}`.match(/\s?[^\s]+|\s/g) ?? [];
  return [bosTokenId, ...words.flatMap((word) => mergeWord(word, names, idOf))];
}

function mergeWord(word: string, names: readonly string[], idOf: ReadonlyMap<string, number>): number[] {
  const ids = [...word].flatMap((character) => {
    const id = idOf.get(character);
    return id === undefined ? [...new TextEncoder().encode(character)].map((byte) => byte + FIRST_BYTE_ID) : [id];
  });
  for (;;) {
    let best = names.length;
    let at = -1;
    for (let i = 0; i + 1 < ids.length; i++) {
      const merged = idOf.get(`${names[ids[i]!]}${names[ids[i + 1]!]}`);
      if (merged === undefined || merged >= best) continue;
      best = merged;
      at = i;
    }
    if (at < 0) return ids;
    ids.splice(at, 2, best);
  }
}
