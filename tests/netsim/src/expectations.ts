/** What a generation hands out piece by piece; `TextPart` of @tandem/edge is one. */
export interface HeardPart {
  text: string;
  tokens: readonly HeardToken[];
}

export interface HeardToken {
  id: number;
  position: number;
}

/** What it comes to in the end; `GenerationResult` of @tandem/edge is one. */
export interface HeardResult {
  text: string;
  tokens: readonly HeardToken[];
}

const CONTEXT_CHARS = 24;

/** The network is invisible: both texts are the same. Throws with the first difference and what stands around it. */
export function expectSameText(actual: string, expected: string): void {
  if (actual === expected) return;
  let at = 0;
  while (at < Math.min(actual.length, expected.length) && actual[at] === expected[at]) at++;
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - CONTEXT_CHARS), at + CONTEXT_CHARS));
  throw new Error(`the texts differ from character ${at} on: ${around(actual)} instead of ${around(expected)}`);
}

/** What was handed out piece by piece is the result: no token lost, doubled or out of place, no text either. */
export function expectNoTokenLost(parts: readonly HeardPart[], result: HeardResult): void {
  const heard = parts.flatMap(({ tokens }) => tokens);
  const first = result.tokens[0]?.position ?? 0;
  for (let i = 0; i < Math.max(heard.length, result.tokens.length); i++) {
    const said = describe(heard[i]);
    const meant = describe(result.tokens[i]);
    if (said !== meant) throw new Error(`token ${i}: the parts say ${said}, the result says ${meant}`);
    if (heard[i]!.position !== first + i)
      throw new Error(`token ${i} stands at ${heard[i]!.position}, not ${first + i}`);
  }
  expectSameText(parts.map(({ text }) => text).join(''), result.text);
}

function describe(token: HeardToken | undefined): string {
  return token ? `${token.id} at ${token.position}` : 'nothing';
}
