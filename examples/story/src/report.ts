import { type GenerationResult, type Origin, originName } from '@tandem/edge';
import colors from 'picocolors';

/** What `--json` prints as its last line. */
export interface StoryReport {
  text: string;
  tokens: number;
  mode: string;
  origins: Record<string, number>;
  roundTrips: number;
  bytesUp: number;
  bytesDown: number;
  elapsedMs: number;
  equalToUnsplit: number;
}

/** Colour of a token by where it was decided; grey when it was settled without the cloud that should have been asked. */
export function paint(text: string, origin: Origin | undefined): string {
  if (!origin) return text;
  if (origin.kind !== 'exit') return colors.magenta(text);
  if (origin.degraded) return colors.gray(text);
  return origin.stage === 1 ? colors.green(text) : colors.cyan(text);
}

export function legend(): string {
  return [colors.green('exit 1'), colors.cyan('exit 2'), colors.magenta('cloud'), colors.gray('without cloud')].join(
    '  ',
  );
}

export function countOrigins(result: GenerationResult): Record<string, number> {
  const counts: Record<string, number> = { exit1: 0, exit2: 0, cloud: 0 };
  for (const { origin } of result.tokens) {
    const name = originName(origin);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

export function summarise(prompt: string, mode: string, result: GenerationResult, unsplit: number[]): StoryReport {
  return {
    text: prompt + result.text,
    tokens: result.tokens.length,
    mode,
    origins: countOrigins(result),
    roundTrips: result.transfer.roundTrips,
    bytesUp: result.transfer.bytesUp,
    bytesDown: result.transfer.bytesDown,
    elapsedMs: Math.round(result.timings.elapsedMs),
    equalToUnsplit: result.tokens.filter((token, index) => token.id === unsplit[index]).length,
  };
}

/** The table at the end of the story. */
export function formatTable(report: StoryReport, { timings, transfer }: GenerationResult): string {
  const share = (count: number) => `${count} (${Math.round((100 * count) / Math.max(1, report.tokens))} %)`;
  const ms = (value: number) => `${Math.round(value)} ms`;
  const rate = (1000 * report.tokens) / Math.max(1, timings.elapsedMs);
  const rows: [string, string][] = [
    ...Object.entries(report.origins).map(([name, count]): [string, string] => [`tokens from ${name}`, share(count)]),
    ['equal to the unsplit model', `${report.equalToUnsplit} of ${report.tokens}`],
    ['round trips', String(transfer.roundTrips)],
    ['bytes up', transfer.bytesUp.toLocaleString('en')],
    ['bytes down', transfer.bytesDown.toLocaleString('en')],
    ['time on the device', ms(timings.deviceMs)],
    ['time on the wire', ms(timings.wireMs)],
    ['time in the cloud', ms(timings.cloudMs)],
    ['first token after', ms(timings.timeToFirstTokenMs)],
    ['elapsed', `${ms(timings.elapsedMs)}, ${rate.toFixed(1)} tokens/s`],
  ];
  const widest = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${colors.dim(name.padEnd(widest))}  ${value}`).join('\n');
}
