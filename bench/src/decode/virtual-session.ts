import { originName, type SessionEvent, type SessionOptions } from '@tandem/edge';
import { type loadTokenizer, parseOptions, Session, sessionOptionsSchema } from '@tandem/edge/testing';
import { assert, defaultCodec, type Manifest, seededRandom } from '@tandem/shared';
import { idleMs } from './busy-log.js';
import type { Story, Telling } from './telling.js';
import { SESSION_ID, VirtualPlace, type VirtualSetting } from './virtual-place.js';

export interface VirtualSessionOptions {
  tokenizer: ReturnType<typeof loadTokenizer>;
  session: Partial<SessionOptions>;
  /** Without them the device only makes rows, and every token is the cloud's. */
  hasExits: boolean;
}

/** Tells a story in a production session, over production server sessions, in virtual time. The connection is open before. */
export async function tellInSession(
  setting: VirtualSetting,
  story: Story,
  { tokenizer, session: overrides, hasExits }: VirtualSessionOptions,
): Promise<Telling> {
  const place = new VirtualPlace(setting);
  const { clock } = place;
  const device = place.deviceEngine();
  const cloud = place.cloudEngine();
  const link = place.serverLink(cloud);
  const options = parseOptions(sessionOptionsSchema, 'bench decode', {
    onCloudUnavailable: 'fail',
    cloud: { url: 'ws://virtual', wrapTransport: () => link.connect },
    ...overrides,
  });
  const { deviceStages, contextLength } = device.info;
  const open = { session: SESSION_ID, firstStage: 0, endStage: deviceStages, capacity: contextLength };
  await device.open({ ...open, codec: options.codec ?? defaultCodec(setting.profile.width) });
  const session = new Session(
    {
      manifest: manifestOf(setting, hasExits),
      engine: device,
      tokenizer,
      sessionId: SESSION_ID,
      acceptance: setting.acceptance,
      clock,
      random: seededRandom(setting.seed),
      onDisposed() {},
    },
    options,
  );
  await place.connected();
  assert(options.mode === 'device-only' || session.connection === 'open', 'the session is connected');
  const watch = watchSession(
    session,
    () => clock.now(),
    () => device.isBusy,
  );
  const startMs = clock.now();
  const before = { device: device.busy.totalMs, cloud: cloud.busy.totalMs };
  const { maxOutputTokens } = story;
  const done = session.generate(story.prompt, { ...setting.sampling, maxOutputTokens }).then(async (result) => {
    const endMs = clock.now();
    await session.dispose();
    return { result, endMs };
  });
  const { result, endMs } = await place.untilIdle(done);
  return {
    tokens: result.tokens.map(({ id }) => id),
    origins: result.tokens.map(({ origin }) => originName(origin)),
    policy: session.policy.name,
    settledMs: watch.settledAtMs.map((atMs) => atMs - startMs),
    bytesUp: result.transfer.bytesUp,
    bytesDown: result.transfer.bytesDown,
    roundTrips: result.transfer.roundTrips,
    waitedRoundTrips: watch.waitedRoundTrips,
    exposedMs: idleMs([device.busy, cloud.busy], startMs, endMs),
    deviceMs: device.busy.totalMs - before.device,
    cloudMs: cloud.busy.totalMs - before.cloud,
  };
}

/** A round trip was waited for if its answer found the device idle. Verdicts that a server streams on its own are none. */
function watchSession(session: Session, nowMs: () => number, isDeviceBusy: () => boolean) {
  const watch = { settledAtMs: [] as number[], waitedRoundTrips: 0 };
  session.events$.subscribe((event: SessionEvent) => {
    if (event.kind === 'settled') watch.settledAtMs.push(nowMs());
    if (event.kind === 'verdict' && event.roundTripMs !== undefined && !isDeviceBusy()) watch.waitedRoundTrips++;
  });
  return watch;
}

/** The profile's width, so that ledger and frames count its bytes. */
function manifestOf({ manifest, profile }: VirtualSetting, hasExits: boolean): Manifest {
  const stages = manifest.stages.map((stage) =>
    hasExits || stage.head !== 'exit' ? stage : { ...stage, head: 'none' as const },
  );
  return { ...manifest, width: profile.width, stages };
}
