/** Letters of several kinds, digits, blanks, signs: what patterns of tokenizers tell apart. */
const LETTERS = ['a', 'A', '0', ' ', '\n', '_', '!', "'", 'é', '中'];
/** Characters that a pattern names itself and that are tried beside them. */
const OWN_LETTERS_MAX = 12;
/** Long enough for exponential time to show, and for that of a high power. */
const SHORT_CHARS = 64;
const LONG_CHARS = 2_048;
/** What makes the whole text fail where a pattern asks for an end, a letter or no letter. */
const ENDINGS = ['', '\u0000', 'a'];

/**
 * Texts on which a pattern that can take for ever is likely to do it: one or two characters, or words that it
 * holds itself, again and again, and then something else.
 */
export function probesFor(pattern: RegExp): string[] {
  const words = [...new Set(pattern.source.match(/[\p{L}\p{N}]{2,16}/gu))].slice(0, OWN_LETTERS_MAX);
  const own = [...new Set(pattern.source)].slice(0, OWN_LETTERS_MAX);
  const letters = [...new Set([...LETTERS, ...own])];
  const pairs = letters.flatMap((first) =>
    letters.filter((second) => second !== first).map((second) => first + second),
  );
  const probes: string[] = [];
  for (const unit of [...letters, ...words])
    for (const ending of ENDINGS) probes.push(repeat(unit, LONG_CHARS) + ending);
  for (const unit of pairs) for (const ending of ENDINGS) probes.push(repeat(unit, SHORT_CHARS) + ending);
  return probes;
}

function repeat(unit: string, chars: number): string {
  return unit.repeat(Math.ceil(chars / unit.length));
}
