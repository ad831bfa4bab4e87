import { PROFILES } from '@tandem/shared';
import { countAgreed } from './agreement.js';
import type { CoLocatedPlan } from './co-located.js';
import { CO_LOCATED_PLANS, describePlan, fastestPlan } from './co-located-plan.js';
import { RealPlace } from './real-place.js';
import { type RealSetting, tellForReal } from './real-telling.js';
import { type DecodeRow, rowOf } from './row.js';
import type { Telling } from './telling.js';
import { codecOf, type RunsOptions } from './virtual-runs.js';

/** Real minutes are dear: plans are compared on fewer stories, and only those that are unlike. */
const PLANS = CO_LOCATED_PLANS.filter(({ draftLength, floor }) => floor === 0 && draftLength % 2 === 0);
const PLAN_STORIES = 2;

/** All rows in real time, on this machine and the link of the first profile. */
export async function runForReal(run: RunsOptions, directory: string): Promise<DecodeRow[]> {
  const { options, sampling } = run;
  const place = await RealPlace.start(directory, options.format);
  const { seed, overrides } = options;
  const profile = PROFILES[options.profiles[0]!]!;
  const setting: RealSetting = { place, profile, rttMs: 0, sampling, seed, overrides, coLocated: PLANS[0]! };
  const rows: DecodeRow[] = [];
  try {
    await warmUp(run, setting);
    const coLocated = await planCoLocated(run, setting);
    for (const rttMs of options.rttsMs) rows.push(...(await runLink(run, { ...setting, rttMs, coLocated })));
  } finally {
    await place.close();
  }
  return rows;
}

/** Modes take turns story by story, so that whatever else the machine does falls on all of them. */
async function runLink(run: RunsOptions, setting: RealSetting): Promise<DecodeRow[]> {
  const { modes } = run.options;
  const tellings = new Map(modes.map((mode) => [mode, [] as Telling[]]));
  for (const story of run.stories) {
    for (const mode of modes) tellings.get(mode)!.push(await tellForReal(mode, setting, story));
  }
  const rows: DecodeRow[] = [];
  for (const [mode, own] of tellings) {
    const model = await run.models.get(codecOf(mode, run.options, run.manifest.width));
    let agreed = 0;
    for (const [index, telling] of own.entries()) {
      agreed += await countAgreed(model, run.manifest.stages.length - 1, run.stories[index]!, telling);
    }
    const head = { clock: 'real', profile: 'this-machine', mode, rttMs: setting.rttMs, agreed } as const;
    const row = rowOf(head, own);
    rows.push(row);
    run.onRow(row);
  }
  return rows;
}

/** The first steps of an engine allocate; nobody's figures should hold that. */
async function warmUp(run: RunsOptions, setting: RealSetting): Promise<void> {
  for (const mode of run.options.modes) await tellForReal(mode, setting, { ...run.stories[0]!, maxOutputTokens: 8 });
}

async function planCoLocated(run: RunsOptions, setting: RealSetting): Promise<CoLocatedPlan> {
  if (!run.options.modes.includes('co-located')) return setting.coLocated;
  const best = await fastestPlan(PLANS, async (coLocated) => {
    const tellings: Telling[] = [];
    for (const story of run.stories.slice(0, PLAN_STORIES)) {
      tellings.push(await tellForReal('co-located', { ...setting, coLocated }, story));
    }
    return tellings;
  });
  run.say(`real: ${describePlan(best, PLANS.length)}`);
  return best;
}
