import type { SessionOptions } from '@tandem/edge';
import type { loadTokenizer } from '@tandem/edge/testing';
import { tellCeCollm } from './ce-collm.js';
import { type CoLocatedPlan, tellCoLocated } from './co-located.js';
import type { Story, Telling } from './telling.js';
import type { VirtualSetting } from './virtual-place.js';
import { tellInSession } from './virtual-session.js';

/** Tandem's own modes first, then what they are held against. */
export const BENCH_MODES = [
  'exact',
  'collaborative',
  'device-only',
  'cloud-only',
  'co-located',
  'split-f16',
  'ce-collm',
] as const;
export type BenchMode = (typeof BENCH_MODES)[number];

/** Session options of an experiment, by the mode that they belong to. */
export type Overrides = Partial<Record<BenchMode, Partial<SessionOptions>>>;

/** The options that a mode's session is created with; undefined where no session of ours is behind it. */
export function sessionOptionsOf(mode: BenchMode, overrides: Overrides): Partial<SessionOptions> | undefined {
  switch (mode) {
    case 'exact':
    case 'collaborative':
    case 'device-only':
    case 'cloud-only':
      return { mode, ...overrides[mode] };
    // Without exits nothing is drafted: a row goes up, a token comes back.
    case 'split-f16':
      return { mode: 'exact', codec: 'f16', promptAs: 'rows' };
    case 'co-located':
    case 'ce-collm':
      return undefined;
  }
}

export interface VirtualTellerParts {
  tokenizer: ReturnType<typeof loadTokenizer>;
  overrides: Overrides;
  coLocated: CoLocatedPlan;
}

/** Tells one story in virtual time. */
export function tellVirtually(
  mode: BenchMode,
  setting: VirtualSetting,
  story: Story,
  { tokenizer, overrides, coLocated }: VirtualTellerParts,
): Promise<Telling> {
  if (mode === 'co-located') return tellCoLocated(setting, story, coLocated);
  if (mode === 'ce-collm') return tellCeCollm(setting, story);
  const session = sessionOptionsOf(mode, overrides) ?? {};
  return tellInSession(setting, story, { tokenizer, session, hasExits: mode !== 'split-f16' });
}
