/** All regular expressions in a tokenizer of the library: of its normaliser, pre-tokenizer and decoder, as they will run. */
export function patternsIn(root: unknown): RegExp[] {
  const found: RegExp[] = [];
  const seen = new Set<unknown>();
  const waiting: unknown[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    // A pre-tokenizer of the library is a function with fields.
    const isNode = (typeof value === 'object' && value !== null) || typeof value === 'function';
    if (!isNode || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof RegExp) found.push(value);
    else waiting.push(...Object.values(value as object));
  }
  return found;
}
