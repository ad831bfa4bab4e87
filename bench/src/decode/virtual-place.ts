import { createSessionHost, fixedEngine, type Log, Scheduler } from '@tandem/cloud';
import type { Acceptance } from '@tandem/edge/testing';
import { type SimulatedLink, simulateLink, VirtualClock } from '@tandem/netsim';
import type { Profile } from '@tandem/shared';
import {
  assert,
  createMemoryPipe,
  type EngineInfo,
  type Manifest,
  type SamplingSettings,
  type Transport,
  type TransportHandlers,
} from '@tandem/shared';
import { ReplayEngine } from './replay-engine.js';
import type { ReplayModel } from './replay-model.js';

/** What all stories of one row of the table share. */
export interface VirtualSetting {
  model: ReplayModel;
  manifest: Manifest;
  /** Format of the weights that the choices come from. */
  format: string;
  profile: Profile;
  rttMs: number;
  sampling: SamplingSettings;
  seed: number;
  /** What the model's sessions have learnt of its drafts: nothing at the first story of a row. */
  acceptance: Acceptance;
}

export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A device, a link and a cloud for one story, all on one clock of their own. */
export class VirtualPlace {
  readonly clock = new VirtualClock();
  readonly setting: VirtualSetting;

  constructor(setting: VirtualSetting) {
    this.setting = setting;
  }

  /** `deviceStages`: where the cut lies, if not where the bundle has it. */
  info(deviceStages = this.#deviceStages): EngineInfo {
    const { manifest, format, profile } = this.setting;
    return {
      model: manifest.fingerprint,
      format,
      width: profile.width,
      vocabularySize: manifest.vocabularySize,
      contextLength: manifest.contextLength,
      stages: manifest.stages.length,
      deviceStages,
    };
  }

  deviceEngine(): ReplayEngine {
    const { model, profile } = this.setting;
    return new ReplayEngine({
      model,
      info: this.info(),
      clock: this.clock,
      stageMs: profile.deviceStageMs,
      furtherRowShare: profile.furtherRowShare.device,
    });
  }

  /** `stageMs`: of all stages, if not those of the profile. */
  cloudEngine(stageMs?: readonly number[], info = this.info()): ReplayEngine {
    const { model, profile } = this.setting;
    return new ReplayEngine({
      model,
      info,
      clock: this.clock,
      stageMs: stageMs ?? [...profile.cloudStageMs, profile.cloudTailMs],
      furtherRowShare: profile.furtherRowShare.cloud,
    });
  }

  /** A link with the profile's rates to whatever `accept` puts at its other end. */
  link(accept: (transport: Transport) => TransportHandlers): SimulatedLink {
    const { profile, rttMs, seed } = this.setting;
    const { upBytesPerS, downBytesPerS } = profile.link;
    const pipe = createMemoryPipe(this.clock);
    pipe.accept(accept);
    return simulateLink(pipe.connect, { rttMs, upBytesPerS, downBytesPerS }, { clock: this.clock, seed });
  }

  /** The server's sessions and scheduler as in production, without its sockets. */
  serverLink(engine: ReplayEngine): SimulatedLink {
    const { clock } = this;
    const host = createSessionHost({
      scheduler: new Scheduler(fixedEngine(engine), clock),
      eosTokenIds: this.setting.manifest.eosTokenIds,
      sessionsMax: 1,
      resumeWindowMs: 1_000,
      clock,
      log: SILENT,
    });
    return this.link((transport) => host.accept({ sessionId: SESSION_ID, owner: 'bench' }, transport));
  }

  /** Time for the connection to be there, whatever the mode says on it: who waits for a token has long connected. */
  connected(): Promise<void> {
    return this.clock.advance(20 * (this.setting.rttMs + 10));
  }

  /** Runs the clock until nothing is left to do; `done` has to be done by then. */
  async untilIdle<Result>(done: Promise<Result>): Promise<Result> {
    let isDone = false;
    const settled = () => {
      isDone = true;
    };
    done.then(settled, settled);
    await this.clock.runUntilIdle();
    assert(isDone, `at ${this.clock.now()} ms nothing is under way, and the story has not ended`);
    return done;
  }

  get #deviceStages(): number {
    const { stages, cut } = this.setting.manifest;
    return stages.filter(({ to }) => to <= cut).length;
  }
}

export const SESSION_ID = 'session-of-the-bench';
