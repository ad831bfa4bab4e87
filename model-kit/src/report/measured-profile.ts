import type { Manifest, Profile } from '@tandem/shared';
import { describeMachine } from './machine.js';
import type { StageTimes } from './stage-times.js';

export interface ProfileOptions {
  /** How many times as quick as this machine the server is. */
  serverSpeed: number;
  /** Of the device’s link, in Mbit/s. */
  uplinkMbit: number;
}

/** Stage times of this machine as the device’s, and the server’s as a multiple of them. */
export function measuredProfile(
  { width, stages, cut }: Manifest,
  { stageMs, furtherRowShare }: StageTimes,
  { serverSpeed, uplinkMbit }: ProfileOptions,
): Profile {
  const deviceStages = stages.filter(({ to }) => to <= cut).length;
  const cloudMs = stageMs.map((ms) => ms / serverSpeed);
  const bytesPerS = (uplinkMbit * 1e6) / 8;
  return {
    name: 'measured',
    width,
    deviceStageMs: stageMs.slice(0, deviceStages),
    cloudStageMs: cloudMs.slice(0, deviceStages),
    cloudTailMs: cloudMs.slice(deviceStages).reduce((sum, ms) => sum + ms, 0),
    furtherRowShare: { device: furtherRowShare, cloud: furtherRowShare },
    link: { name: `${uplinkMbit} Mbit/s each way`, upBytesPerS: bytesPerS, downBytesPerS: bytesPerS },
    sources: [
      `Device: this machine (${describeMachine()}), one row through each stage.`,
      serverSpeed === 1
        ? 'Server: a machine as quick as this one.'
        : `Server: ${serverSpeed} times as quick as this machine (assumed).`,
    ],
  };
}
