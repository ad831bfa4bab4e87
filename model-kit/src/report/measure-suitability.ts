import {
  type CalibratedPolicyName,
  type Clock,
  defaultCodec,
  FORMATS,
  type Format,
  type Manifest,
  type Profile,
  type RowCodecName,
  TandemError,
} from '@tandem/shared';
import { type Bundle, loadChainEngine, openBundle } from '@tandem/shared/node';
import type { ObservedText } from '../calibration/observed-text.js';
import { Observer } from '../calibration/observer.js';
import { type CodecFigures, codecFigures } from './codec-figures.js';
import { conclude } from './conclusions.js';
import { formatFigures } from './format-figures.js';
import { describeMachine } from './machine.js';
import { measuredProfile, type ProfileOptions } from './measured-profile.js';
import { type ReportSource, type ReportText, readReportText } from './report-text.js';
import { stageTimes } from './stage-times.js';
import type { SuitabilityReport } from './suitability-report.js';

export interface ReportOptions {
  /** Folder of the bundle. */
  bundle: string;
  source: ReportSource;
  /** Tokens of text to measure on, about. */
  tokens: number;
  /** Format of the exits’ figures and of the times. Default: the bundle’s first. */
  format?: Format;
  policy: CalibratedPolicyName;
  /** Stage times to predict with, or how to make them from those of this machine. */
  times: { kind: 'profile'; profile: Profile } | ({ kind: 'measured' } & ProfileOptions);
  /** What a millisecond of the server is worth in milliseconds of the user. */
  cloudPrice: number;
  threads: number;
  clock: Clock;
  onProgress?: (step: ReportStep, done: number, total: number) => void;
}

export type ReportStep = 'tell' | 'exits' | 'codecs' | 'formats';

/** Codecs change little, and each takes a pass of the whole model: so much text tells them apart. */
const CODEC_TOKENS = 2_500;

/**
 * Measures exits, formats, codecs and stage times of a bundle on one text, and predicts what a session takes.
 *
 * @throws TandemError INVALID_OPTION, BUNDLE_NOT_FOUND, BUNDLE_CORRUPT, ENGINE_UNAVAILABLE
 */
export async function measureSuitability(options: ReportOptions): Promise<SuitabilityReport> {
  const bundle = await openBundle(options.bundle);
  const { manifest } = bundle;
  const format = options.format ?? manifest.formats[0]!;
  const codec = defaultCodec(manifest.width);
  const { text, observed, codecs } = await observeText(options, manifest, format, codec);
  const formats = await formatFigures(
    bundle,
    FORMATS.filter((known) => manifest.formats.includes(known)),
    text.texts,
    { threads: options.threads, onText: (done, total) => options.onProgress?.('formats', done, total) },
  );
  const profile = await chooseProfile(options, bundle, format);
  const conclusions = conclude({ ...options, manifest, format, codec, text, observed, profile });
  const { name, architecture, layers, width, cut, fingerprint } = manifest;
  const { exits, settledPerRound, breakEvenRttMs, verdict, ...rest } = conclusions;
  return {
    exits,
    settledPerRound,
    formats,
    codecs,
    breakEvenRttMs,
    verdict,
    ...rest,
    profile,
    text: { name: text.name, texts: text.texts.length, tokens: text.tokens },
    model: { name, architecture, layers, width, cut, fingerprint },
    format,
    codec,
    machine: describeMachine(),
  };
}

interface ObservedTexts {
  text: ReportText;
  observed: ObservedText[];
  codecs: CodecFigures[];
}

async function observeText(
  { bundle, source, tokens, threads, onProgress }: ReportOptions,
  manifest: Manifest,
  format: Format,
  codec: RowCodecName,
): Promise<ObservedTexts> {
  checkTokens(tokens);
  const engine = await loadChainEngine({ directory: bundle, format, threads, preload: 'all' });
  const progress = (step: ReportStep) => (done: number, total: number) => onProgress?.(step, done, total);
  try {
    const text = await readReportText(engine, { directory: bundle, manifest, codec }, source, {
      tokens,
      onText: progress('tell'),
    });
    const observer = new Observer(engine, manifest, codec);
    const observed: ObservedText[] = [];
    for (const { tokens, first } of text.texts) {
      observed.push(await observer.observe(tokens, first));
      onProgress?.('exits', observed.length, text.texts.length);
    }
    const some = Math.ceil((text.texts.length * CODEC_TOKENS) / Math.max(CODEC_TOKENS, text.tokens));
    const codecs = await codecFigures(engine, manifest, text.texts.slice(0, some), progress('codecs'));
    return { text, observed, codecs };
  } finally {
    await engine.dispose();
  }
}

const TOKENS_MIN = 500;

function checkTokens(tokens: number): void {
  if (Number.isInteger(tokens) && tokens >= TOKENS_MIN) return;
  throw new TandemError('INVALID_OPTION', `${tokens} tokens to measure on; give at least ${TOKENS_MIN}`);
}

async function chooseProfile({ times, threads, clock }: ReportOptions, bundle: Bundle, format: Format) {
  if (times.kind === 'profile') return times.profile;
  return measuredProfile(bundle.manifest, await stageTimes(bundle, format, threads, clock), times);
}
