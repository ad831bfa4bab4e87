import { basename } from 'node:path';
import { type Engine, type Manifest, type RowCodecName, TandemError } from '@tandem/shared';
import { cutText, readTextFile } from '../calibration/text-file.js';
import { type ToldText, tellTexts } from '../calibration/told-text.js';

/** What a report measures on: texts of a file, or what the model tells by itself. */
export type ReportSource =
  | { kind: 'file'; path: string; separator: string }
  /** Another seed than calibration's: thresholds must not be judged on the texts that chose them. */
  | { kind: 'told'; seed: number };

export interface ReportText {
  /** In words, for whoever reads the figures. */
  name: string;
  texts: readonly ToldText[];
  /** Positions that are judged. */
  tokens: number;
}

/** As calibration's: what sessions say, at the length that counts as one draw there. */
export const TOLD_TOKENS = 50;

/**
 * About `tokens` tokens of text.
 *
 * @throws TandemError INVALID_OPTION when the file cannot be read or holds no text
 */
export async function readReportText(
  engine: Engine,
  bundle: { directory: string; manifest: Manifest; codec: RowCodecName },
  source: ReportSource,
  { tokens, onText }: { tokens: number; onText?: (done: number, total: number) => void },
): Promise<ReportText> {
  const { directory, manifest, codec } = bundle;
  if (source.kind === 'told') {
    const texts = Math.ceil(tokens / TOLD_TOKENS);
    const told = await tellTexts(engine, manifest, {
      texts,
      tokens: TOLD_TOKENS,
      seed: source.seed,
      codec,
      onText: (done) => onText?.(done, texts),
    });
    // An opening that ends the story right away leaves nothing to judge.
    return summarise(
      `told by the model, seed ${source.seed}`,
      told.filter(({ tokens, first }) => tokens.length > first),
    );
  }
  const pieces: ToldText[] = [];
  let total = 0;
  for (const text of await readTextFile(source.path, directory, source.separator)) {
    for (const piece of cutText(text, manifest)) {
      if (total >= tokens) break;
      pieces.push(piece);
      total += piece.tokens.length;
    }
  }
  if (pieces.length > 0) return summarise(basename(source.path), pieces);
  throw new TandemError('INVALID_OPTION', `--text ${source.path} holds no text; give some thousand words`);
}

function summarise(name: string, texts: readonly ToldText[]): ReportText {
  return { name, texts, tokens: texts.reduce((sum, { tokens, first }) => sum + tokens.length - first, 0) };
}
