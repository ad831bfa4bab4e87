import { Acceptance, type loadTokenizer, parseOptions, sessionOptionsSchema } from '@tandem/edge/testing';
import {
  defaultCodec,
  type Manifest,
  PROFILES,
  type Profile,
  type RowCodecName,
  type SamplingSettings,
} from '@tandem/shared';
import { countAgreed } from './agreement.js';
import { type CoLocatedPlan, tellCoLocated } from './co-located.js';
import { CO_LOCATED_PLANS, describePlan, fastestPlan } from './co-located-plan.js';
import type { DecodeOptions } from './decode-options.js';
import { type BenchMode, sessionOptionsOf, tellVirtually } from './modes.js';
import type { ReplayModel } from './replay-model.js';
import type { ReplayModels } from './replay-models.js';
import { type DecodeRow, rowOf } from './row.js';
import type { Story, Telling } from './telling.js';
import type { VirtualSetting } from './virtual-place.js';

/** What the rows of either clock need. */
export interface RunsOptions {
  options: DecodeOptions;
  models: ReplayModels;
  manifest: Manifest;
  tokenizer: ReturnType<typeof loadTokenizer>;
  stories: readonly Story[];
  sampling: SamplingSettings;
  /** Told of every row as it comes. */
  onRow(row: DecodeRow): void;
  say(text: string): void;
}

/** All rows in virtual time, profile by profile, link by link. */
export async function runVirtually(run: RunsOptions): Promise<DecodeRow[]> {
  const rows: DecodeRow[] = [];
  for (const name of run.options.profiles) {
    const profile = PROFILES[name]!;
    const coLocated = await planCoLocated(run, profile);
    for (const rttMs of run.options.rttsMs) {
      for (const mode of run.options.modes) {
        const row = await runMode(run, profile, rttMs, mode, coLocated);
        rows.push(row);
        run.onRow(row);
      }
      await run.models.save();
    }
  }
  return rows;
}

async function runMode(
  run: RunsOptions,
  profile: Profile,
  rttMs: number,
  mode: BenchMode,
  coLocated: CoLocatedPlan,
): Promise<DecodeRow> {
  const { options, tokenizer, stories } = run;
  const model = await run.models.get(codecOf(mode, options, profile.width));
  const setting = settingOf(run, model, profile, rttMs);
  const tellings: Telling[] = [];
  let agreed = 0;
  for (const story of stories) {
    const telling = await tellVirtually(mode, setting, story, { tokenizer, overrides: options.overrides, coLocated });
    tellings.push(telling);
    agreed += await countAgreed(model, run.manifest.stages.length - 1, story, telling);
  }
  return rowOf({ clock: 'virtual', profile: profile.name, mode, rttMs, agreed }, tellings);
}

function settingOf(run: RunsOptions, model: ReplayModel, profile: Profile, rttMs: number): VirtualSetting {
  const { manifest, sampling, options } = run;
  return {
    model,
    manifest,
    format: options.format,
    profile,
    rttMs,
    sampling,
    seed: options.seed,
    acceptance: new Acceptance(),
  };
}

/** The codec that rows of this width pass at the cut, in the unsplit model too. */
export function codecOf(mode: BenchMode, { overrides }: DecodeOptions, width: number): RowCodecName {
  const own = sessionOptionsOf(mode, overrides);
  if (!own) return 'f16';
  return (
    parseOptions(sessionOptionsSchema, mode, { cloud: { url: 'ws://virtual' }, ...own }).codec ?? defaultCodec(width)
  );
}

/** Stories that the baseline's settings are chosen on, among those that are measured: if at all, that favours it. */
const PLAN_STORIES = 8;

async function planCoLocated(run: RunsOptions, profile: Profile): Promise<CoLocatedPlan> {
  const plans = run.options.modes.includes('co-located') ? CO_LOCATED_PLANS : CO_LOCATED_PLANS.slice(0, 1);
  const setting = settingOf(run, await run.models.get('f16'), profile, 0);
  const best = await fastestPlan(plans, async (plan) => {
    const tellings: Telling[] = [];
    for (const story of run.stories.slice(0, PLAN_STORIES)) tellings.push(await tellCoLocated(setting, story, plan));
    return tellings;
  });
  if (plans.length > 1) run.say(describePlan(best, plans.length));
  return best;
}
