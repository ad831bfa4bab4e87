import { argmax, type Format, type Manifest } from '@tandem/shared';
import type { Bundle } from '@tandem/shared/node';
import type { ToldText } from '../calibration/told-text.js';
import { RowCollector } from '../exit-heads/row-collector.js';

export interface FormatFigures {
  format: Format;
  /** Share of positions at which the whole model chooses the reference format's token. */
  agreement: number;
  /** Of the texts’ own tokens. */
  perplexity: number;
  /** Bytes of the device’s stages, and of all. */
  deviceBytes: number;
  bytes: number;
}

/** The whole model in each weight format on the same texts; the first of `formats` is what the others are compared with. */
export async function formatFigures(
  bundle: Bundle,
  formats: readonly Format[],
  texts: readonly ToldText[],
  { threads, onText }: { threads: number; onText?: (done: number, total: number) => void },
): Promise<FormatFigures[]> {
  let reference: number[][] | undefined;
  const figures: FormatFigures[] = [];
  for (const [index, format] of formats.entries()) {
    const collector = await RowCollector.open(bundle, format, threads);
    const chosen: number[][] = [];
    let nats = 0;
    let judged = 0;
    for (const { tokens, first } of texts) {
      const { logits } = await collector.collect(tokens, true);
      const told = judge(logits, tokens, first);
      chosen.push(told.choices);
      nats += told.nats;
      judged += told.judged;
      onText?.(index * texts.length + chosen.length, formats.length * texts.length);
    }
    await collector.close();
    reference ??= chosen;
    figures.push({
      format,
      agreement: agreement(chosen, reference),
      perplexity: Math.exp(nats / Math.max(1, judged)),
      ...sizes(bundle.manifest, format),
    });
  }
  return figures;
}

/** `logits (n, vocabularySize)` of all tokens → choices from `first` on, and −ln p of the tokens that do follow. */
function judge(logits: Float32Array, tokens: readonly number[], first: number) {
  const size = logits.length / tokens.length;
  const choices: number[] = [];
  let nats = 0;
  for (let row = first; row < tokens.length; row++) {
    const own = logits.subarray(row * size, (row + 1) * size);
    choices.push(argmax(own));
    const next = tokens[row + 1];
    if (next !== undefined) nats += logSumExp(own) - own[next]!;
  }
  return { choices, nats, judged: tokens.length - 1 - first };
}

function logSumExp(logits: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  return highest + Math.log(sum);
}

function agreement(chosen: readonly number[][], reference: readonly number[][]): number {
  const equal = chosen.flatMap((text, index) => text.map((token, i) => token === reference[index]![i]));
  return equal.filter(Boolean).length / equal.length;
}

function sizes({ stages, cut }: Manifest, format: Format): { deviceBytes: number; bytes: number } {
  const bytesOf = (all: Manifest['stages']) =>
    all.reduce((sum, { files, data }) => sum + files[format]!.bytes + (data?.[format]?.bytes ?? 0), 0);
  return { deviceBytes: bytesOf(stages.filter(({ to }) => to <= cut)), bytes: bytesOf(stages) };
}
