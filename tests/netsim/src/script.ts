import { type Clock, systemClock } from '@tandem/shared';
import type { LinkProfile } from './link-profile.js';
import { presets } from './presets.js';

/** What can be done to a link while it is in use: a `SimulatedLink` or a `LinkProxy`. */
export interface Steerable {
  cut(): void;
  silence(): void;
  stall(durationMs: number): void;
  setProfile(profile: LinkProfile): void;
}

/** One thing that happens, `afterMs` behind the one before it. */
export type ScriptStep = { afterMs: number } & (
  | { do: 'cut' | 'silence' }
  | { do: 'stall'; durationMs: number }
  | { do: 'profile'; profile: LinkProfile }
);

/** Things that happen to people with phones. Times are of our choosing; put your own measurements in their place. */
export const scripts = {
  /** A train in a tunnel: nothing moves, then the connection proves to be gone. */
  tunnel: [
    { afterMs: 0, do: 'profile', profile: presets['4g'] },
    { afterMs: 1_500, do: 'stall', durationMs: 8_000 },
    { afterMs: 8_000, do: 'cut' },
  ],
  /** The signal fades, is lost behind the door, and comes back. */
  elevator: [
    { afterMs: 0, do: 'profile', profile: presets['4g'] },
    { afterMs: 1_000, do: 'profile', profile: presets.edge },
    { afterMs: 2_000, do: 'profile', profile: presets.offline },
    { afterMs: 12_000, do: 'profile', profile: presets['4g'] },
  ],
  /** From the wireless network to the mobile one: a new address, so that the old connection hears nothing any more. */
  handover: [
    { afterMs: 0, do: 'profile', profile: presets.wifi },
    { afterMs: 1_500, do: 'stall', durationMs: 300 },
    { afterMs: 300, do: 'silence' },
    { afterMs: 0, do: 'profile', profile: presets['4g'] },
  ],
  /** The switch in the settings: off at once, on a minute later. */
  airplane: [
    { afterMs: 1_000, do: 'profile', profile: presets.offline },
    { afterMs: 60_000, do: 'profile', profile: presets.wifi },
  ],
  /** Connections open and hang until somebody has signed in; then they are reset. */
  'captive-portal': [
    { afterMs: 0, do: 'profile', profile: presets.wifi },
    { afterMs: 0, do: 'stall', durationMs: 20_000 },
    { afterMs: 20_000, do: 'cut' },
  ],
} as const satisfies Record<string, readonly ScriptStep[]>;

export type ScriptName = keyof typeof scripts;

/** Plays a script on a link; resolves when its last step is done, rejects with the signal's reason when aborted. */
export async function playScript(
  link: Steerable,
  script: ScriptName | readonly ScriptStep[],
  { clock = systemClock, signal }: { clock?: Clock; signal?: AbortSignal } = {},
): Promise<void> {
  const steps: readonly ScriptStep[] = typeof script === 'string' ? scripts[script] : script;
  for (const step of steps) {
    if (step.afterMs > 0) await clock.sleep(step.afterMs, signal);
    signal?.throwIfAborted();
    perform(link, step);
  }
}

function perform(link: Steerable, step: ScriptStep): void {
  switch (step.do) {
    case 'cut':
      return link.cut();
    case 'silence':
      return link.silence();
    case 'stall':
      return link.stall(step.durationMs);
    case 'profile':
      return link.setProfile(step.profile);
  }
}
