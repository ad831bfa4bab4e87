import {
  type Engine,
  GREEDY,
  generateUnsplit,
  type Manifest,
  type RowCodecName,
  seededRandom,
  TandemError,
} from '@tandem/shared';

export interface TellOptions {
  texts: number;
  /** Tokens that the model goes on with after each opening, at most. */
  tokens: number;
  seed: number;
  codec: RowCodecName;
  onText?: (done: number) => void;
}

/** A text that the model told: `tokens[first + 1]` is the first token after the opening. */
export interface ToldText {
  tokens: number[];
  first: number;
}

const OPENING_TOKENS_MIN = 8;
const OPENING_TOKENS_MAX = 20;

/**
 * Texts as sessions make them: an opening, and what the whole model says after it, greedily. The openings are drawn
 * from the model itself at temperature 1, each with a seed of its own, so that the texts are independent draws from
 * one distribution and no text is needed.
 *
 * @throws TandemError INVALID_OPTION for a model without a token that begins a text
 */
export async function tellTexts(engine: Engine, manifest: Manifest, options: TellOptions): Promise<ToldText[]> {
  const bosTokenId = beginning(manifest);
  const { eosTokenIds } = manifest;
  const random = seededRandom(options.seed);
  const told: ToldText[] = [];
  while (told.length < options.texts) {
    const openingTokens =
      OPENING_TOKENS_MIN + Math.floor(random.next() * (OPENING_TOKENS_MAX - OPENING_TOKENS_MIN + 1));
    const seed = Math.floor(random.next() * 2 ** 32);
    const shared = { codec: options.codec, session: 'teller' };
    const opening = await generateUnsplit(engine, {
      ...shared,
      prompt: [bosTokenId],
      maxOutputTokens: openingTokens,
      sampling: { ...GREEDY, temperature: 1, seed },
      eosTokenIds: [],
    });
    const end = opening.findIndex((token) => eosTokenIds.includes(token));
    const prompt = [bosTokenId, ...opening.slice(0, end < 0 ? undefined : end)];
    const story = await generateUnsplit(engine, {
      ...shared,
      prompt,
      maxOutputTokens: options.tokens,
      sampling: GREEDY,
      eosTokenIds,
    });
    told.push({ tokens: [...prompt, ...story.slice(0, -1)], first: prompt.length - 1 });
    options.onText?.(told.length);
  }
  return told;
}

/**
 * Texts drawn from the model at temperature 1, token ids from the beginning on: they show more of what a model can say than
 * its likeliest words do.
 *
 * @throws TandemError INVALID_OPTION for a model without a token that begins a text
 */
export async function sampleTexts(
  engine: Engine,
  manifest: Manifest,
  { tokens, textTokens, seed }: { tokens: number; textTokens: number; seed: number },
): Promise<number[][]> {
  const prompt = [beginning(manifest)];
  const texts: number[][] = [];
  for (let total = 0; total < tokens; total += texts.at(-1)!.length) {
    const story = await generateUnsplit(engine, {
      prompt,
      maxOutputTokens: Math.min(textTokens, manifest.contextLength - 1),
      sampling: { ...GREEDY, temperature: 1, seed: seed + texts.length },
      codec: 'f32',
      eosTokenIds: manifest.eosTokenIds,
      session: 'teller',
    });
    texts.push([...prompt, ...story]);
  }
  return texts;
}

function beginning({ bosTokenId, name }: Manifest): number {
  if (bosTokenId !== null) return bosTokenId;
  throw new TandemError('INVALID_OPTION', `${name} has no token to begin a text with; give --text <file>`);
}
