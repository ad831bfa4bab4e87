import { type Engine, type Manifest, ROW_CODEC_NAMES, type RowCodecName, rowCodec } from '@tandem/shared';
import { Observer } from '../calibration/observer.js';
import type { ToldText } from '../calibration/told-text.js';

export interface CodecFigures {
  codec: RowCodecName;
  /** On the wire, for one token. */
  bytesPerRow: number;
  /** Share of positions at which the whole model chooses what it chooses behind exact rows. */
  agreement: number;
}

/** The whole model behind rows of each codec on the same texts. */
export async function codecFigures(
  engine: Engine,
  manifest: Manifest,
  texts: readonly ToldText[],
  onText?: (done: number, total: number) => void,
): Promise<CodecFigures[]> {
  let exact: number[] | undefined;
  const figures: CodecFigures[] = [];
  // The first codec is f32: rows as they are.
  for (const [index, codec] of ROW_CODEC_NAMES.entries()) {
    const observer = new Observer(engine, manifest, codec);
    const chosen: number[] = [];
    for (const [done, { tokens, first }] of texts.entries()) {
      chosen.push(...(await observer.observe(tokens, first)).truth);
      onText?.(index * texts.length + done + 1, ROW_CODEC_NAMES.length * texts.length);
    }
    exact ??= chosen;
    const equal = chosen.filter((token, i) => token === exact![i]).length;
    figures.push({ codec, bytesPerRow: rowCodec(codec).bytesPerRow(manifest.width), agreement: equal / chosen.length });
  }
  return figures;
}
