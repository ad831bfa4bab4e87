import { PROFILES, TandemError } from '@tandem/shared';
import { BENCH_MODES, type BenchMode, type Overrides } from './modes.js';

/** As commander hands them over. */
export interface DecodeFlags {
  json?: boolean;
  clock?: string;
  profile?: string;
  rtt?: string;
  modes?: string;
  prompts?: string;
  tokens?: string;
  realPrompts?: string;
  realTokens?: string;
  temperature?: string;
  seed?: string;
  format?: string;
  model?: string;
  set?: string[];
  cache?: boolean;
}

export interface DecodeOptions {
  isJson: boolean;
  clocks: readonly ('virtual' | 'real')[];
  profiles: readonly string[];
  rttsMs: readonly number[];
  modes: readonly BenchMode[];
  prompts: number;
  tokens: number;
  /** At most, in real time: there every token takes as long as it takes. */
  realPrompts: number;
  realTokens: number;
  temperature: number;
  seed: number;
  format: 'f32' | 'q8';
  /** Folder of the checkpoint; undefined: the embedded model. */
  model: string | undefined;
  overrides: Overrides;
  keepsAnswers: boolean;
}

const CLOCKS = { virtual: ['virtual'], real: ['real'], both: ['virtual', 'real'] } as const;

/** @throws TandemError INVALID_OPTION */
export function parseDecodeFlags(flags: DecodeFlags): DecodeOptions {
  return {
    isJson: flags.json ?? false,
    clocks: CLOCKS[oneOf('clock', flags.clock ?? 'both', Object.keys(CLOCKS) as (keyof typeof CLOCKS)[])],
    profiles: list(flags.profile ?? 'ce-collm-7b').map((name) => oneOf('profile', name, Object.keys(PROFILES))),
    rttsMs: list(flags.rtt ?? '0,10,20,50,80,150').map((text) => number('rtt', text, 0)),
    modes: modesOf(flags.modes),
    prompts: number('prompts', flags.prompts ?? '100', 1),
    tokens: number('tokens', flags.tokens ?? '100', 1),
    realPrompts: number('real-prompts', flags.realPrompts ?? '4', 1),
    realTokens: number('real-tokens', flags.realTokens ?? '64', 1),
    temperature: number('temperature', flags.temperature ?? '0', 0),
    seed: number('seed', flags.seed ?? '7', 0),
    format: oneOf('format', flags.format ?? 'q8', ['f32', 'q8'] as const),
    model: flags.model,
    overrides: overridesOf(flags.set ?? []),
    keepsAnswers: flags.cache ?? true,
  };
}

/** Cloud-only always runs: everything is held against it. */
function modesOf(text: string | undefined): BenchMode[] {
  const asked = text === undefined ? BENCH_MODES : list(text).map((name) => oneOf('modes', name, BENCH_MODES));
  return BENCH_MODES.filter((mode) => mode === 'cloud-only' || asked.includes(mode));
}

/** `exact.draftLength=8`, or `draftLength=8` for exact and collaborative; values are JSON, or words. */
function overridesOf(settings: readonly string[]): Overrides {
  const overrides: Record<string, Record<string, unknown>> = {};
  for (const setting of settings) {
    const [, mode, name, text] = /^(?:([a-z-]+)\.)?(\w+)=(.+)$/i.exec(setting) ?? [];
    if (!name || text === undefined) throw invalid('set', setting, 'mode.option=value, such as exact.draftLength=8');
    const modes = mode ? [oneOf('set', mode, BENCH_MODES)] : (['exact', 'collaborative'] as const);
    for (const each of modes) overrides[each] = { ...overrides[each], [name]: jsonOrWord(text) };
  }
  // What is not a session option is refused where the session is made, with the names that exist.
  return overrides as Overrides;
}

function jsonOrWord(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function list(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function oneOf<Name extends string>(flag: string, name: string, names: readonly Name[]): Name {
  const found = names.find((known) => known === name);
  if (found) return found;
  throw invalid(flag, name, names.join(', '));
}

function number(flag: string, text: string, min: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && Number.isFinite(value)) return value;
  throw invalid(flag, text, `a number from ${min} on`);
}

function invalid(flag: string, came: string, allowed: string): TandemError {
  return new TandemError('INVALID_OPTION', `--${flag} ${came}: allowed is ${allowed}`);
}
