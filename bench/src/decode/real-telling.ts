import { once } from 'node:events';
import { type GenerationResult, originName, type SessionEvent, type SessionOptions } from '@tandem/edge';
import type { Profile } from '@tandem/shared';
import { type Connect, createMemoryPipe, type Engine, type SamplingSettings, systemClock } from '@tandem/shared';
import { type CoLocatedPlan, Speculator, SpeculatorClient } from './co-located.js';
import { type BenchMode, type Overrides, sessionOptionsOf } from './modes.js';
import { processCpuMs } from './process-time.js';
import { type RealPlace, realLink } from './real-place.js';
import type { Story, Telling } from './telling.js';

export interface RealSetting {
  place: RealPlace;
  profile: Profile;
  rttMs: number;
  sampling: SamplingSettings;
  seed: number;
  overrides: Overrides;
  coLocated: CoLocatedPlan;
}

/** Tells one story in real time; `cloudMs` is what the engine's process computed, where the system says it. */
export async function tellForReal(mode: BenchMode, setting: RealSetting, story: Story): Promise<Telling> {
  const { speculating, server } = setting.place;
  const pid = mode === 'co-located' ? speculating.pid : server.engineProcessIds[0]!;
  const beforeMs = processCpuMs(pid);
  const telling =
    mode === 'co-located' ? await tellCoLocated(setting, story) : await tellInSession(mode, setting, story);
  const afterMs = processCpuMs(pid);
  if (beforeMs === undefined || afterMs === undefined || mode === 'device-only') return telling;
  return { ...telling, cloudMs: afterMs - beforeMs };
}

async function tellInSession(mode: BenchMode, setting: RealSetting, story: Story): Promise<Telling> {
  const { place, profile, rttMs, sampling, seed, overrides } = setting;
  const wrapTransport = (connect: Connect) => realLink(connect, profile, rttMs, seed).connect;
  const session = await place.model.createSession({
    onCloudUnavailable: 'fail',
    cloud: { url: place.server.url, wrapTransport },
    ...(baselineOptions(mode) ?? sessionOptionsOf(mode, overrides)),
  });
  const settledAtMs: number[] = [];
  const opened = new EventTarget();
  session.events$.subscribe((event: SessionEvent) => {
    if (event.kind === 'settled') settledAtMs.push(systemClock.now());
    if (event.kind === 'connection' && event.state === 'open') opened.dispatchEvent(new Event('open'));
  });
  try {
    if (mode !== 'device-only' && session.connection !== 'open') await once(opened, 'open');
    const startMs = systemClock.now();
    const { maxOutputTokens } = story;
    const result = await session.generate(story.prompt, { ...sampling, maxOutputTokens });
    const telling = tellingOf(
      result,
      settledAtMs.map((atMs) => atMs - startMs),
    );
    return { ...telling, policy: session.policy.name };
  } finally {
    await session.dispose();
  }
}

/**
 * The two baselines that are production sessions here: a row up and a token back, whatever the exits say; and CE-CoLLM's
 * rules, except that rows leave behind the second exit, where the bundle's cut is.
 */
function baselineOptions(mode: BenchMode): Partial<SessionOptions> | undefined {
  const stopAndWait = { codec: 'f16', draftLength: 0, branches: false } as const;
  if (mode === 'split-f16') {
    return { ...stopAndWait, mode: 'exact', policy: { name: 'never sure', isConfident: () => false } };
  }
  if (mode === 'ce-collm') return { ...stopAndWait, mode: 'collaborative', threshold: 0.8 };
  return undefined;
}

function tellingOf({ tokens, timings, transfer }: GenerationResult, settledMs: number[]): Telling {
  return {
    tokens: tokens.map(({ id }) => id),
    origins: tokens.map(({ origin }) => originName(origin)),
    settledMs,
    bytesUp: transfer.bytesUp,
    bytesDown: transfer.bytesDown,
    roundTrips: transfer.roundTrips,
    waitedRoundTrips: undefined,
    exposedMs: Math.max(0, timings.waitedMs - timings.cloudMs),
    deviceMs: timings.deviceMs,
    cloudMs: timings.cloudMs,
  };
}

async function tellCoLocated(setting: RealSetting, story: Story): Promise<Telling> {
  const { place, profile, rttMs, sampling, seed, coLocated } = setting;
  const { manifest } = place.model;
  const own = { ...story, sampling, eosTokenIds: manifest.eosTokenIds };
  const engine = new MeteredEngine(place.speculating.engine);
  const pipe = createMemoryPipe();
  pipe.accept((transport) => new Speculator(transport, engine, own, coLocated));
  const link = realLink(pipe.connect, profile, rttMs, seed);
  const client = new SpeculatorClient(link, systemClock, own, coLocated);
  await client.opened;
  const startMs = systemClock.now();
  client.begin(manifest.vocabularySize);
  await client.done;
  client.close();
  const { tokens, origins, settledAtMs } = client.told;
  const settledMs = settledAtMs.map((atMs) => atMs - startMs);
  return {
    tokens,
    origins,
    settledMs,
    ...client.transfer,
    roundTrips: 1,
    waitedRoundTrips: undefined,
    exposedMs: Math.max(0, (settledMs.at(-1) ?? 0) - engine.engineMs),
    deviceMs: 0,
    cloudMs: engine.engineMs,
  };
}

/** Adds up what steps take. */
class MeteredEngine implements Engine {
  readonly info: Engine['info'];
  readonly #engine: Engine;
  engineMs = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.info = engine.info;
  }

  open: Engine['open'] = (session) => this.#engine.open(session);
  close: Engine['close'] = (session) => this.#engine.close(session);
  dispose: Engine['dispose'] = () => this.#engine.dispose();

  step: Engine['step'] = async (request) => {
    const result = await this.#engine.step(request);
    this.engineMs += result.engineMs;
    return result;
  };
}
