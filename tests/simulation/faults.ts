import type { Direction } from '@tandem/netsim';
import type { LargerModelMishap } from './sim-larger-model.js';
import type { Dice } from './sim-random.js';
import type { World } from './world.js';

/** Something that goes wrong at a set time. `client` and `server` are numbers of the world's. */
export type Fault = { atMs: number } & (
  | { kind: 'cut' | 'half-open'; client: number }
  /** The link ends with the next passage of the larger model in it. */
  | { kind: 'passage-lost'; client: number }
  /** Right after this frame: before or after the answer, as the frame may be. */
  | { kind: 'cut-at-frame'; client: number; direction: Direction; frames: number }
  | { kind: 'stall' | 'offline' | 'sleep' | 'clock-jump'; client: number; durationMs: number }
  | { kind: 'flip'; client: number; direction: Direction }
  | { kind: 'device-error'; client: number }
  /** The next `session-open` brings a token that was used before, as a client does that lost the answer with its new one. */
  | { kind: 'old-token'; client: number }
  /** The load balancer sends the next connection to another server, and this one ends now. */
  | { kind: 'move'; client: number }
  | { kind: 'engine-kill'; server: number }
  | { kind: 'engine-error'; server: number; steps: number }
  | { kind: 'slow-engine'; server: number; factor: number; durationMs: number }
  | { kind: 'server-crash' | 'drain'; server: number; downMs: number }
  /** Strangers open sessions: those that wait for their clients may have to go. */
  | { kind: 'crowd'; server: number; strangers: number }
  /** The next texts of the larger model go wrong. */
  | { kind: 'larger-model'; server: number; how: LargerModelMishap; completions: number }
);

export type FaultKind = Fault['kind'];

const FAULTS_MIN = 4;
const FAULTS_MAX = 36;
/** Faults come in this time, most of them early, where the sessions are. */
const FAULT_WINDOW_MS = 8_000;

const CLIENT_KINDS = [
  ...Array.from({ length: 4 }, () => 'cut' as const),
  ...Array.from({ length: 6 }, () => 'cut-at-frame' as const),
  'half-open',
  'half-open',
  'stall',
  'stall',
  'offline',
  'sleep',
  'clock-jump',
  'flip',
  'flip',
  'old-token',
] as const;
const SERVER_KINDS = [
  'engine-kill',
  'engine-kill',
  'engine-error',
  'slow-engine',
  'server-crash',
  'drain',
  'crowd',
] as const;

export function drawFaults(dice: Dice, clients: number, servers: number): Fault[] {
  const count = dice.integer(FAULTS_MIN, FAULTS_MAX);
  const faults = Array.from({ length: count }, () => drawFault(dice, clients, servers));
  return faults.sort((a, b) => a.atMs - b.atMs);
}

function drawFault(dice: Dice, clients: number, servers: number): Fault {
  const atMs = Math.floor(FAULT_WINDOW_MS * dice.random.next() ** 2);
  const client = dice.integer(0, clients - 1);
  if (dice.chance(0.02)) return { atMs, kind: 'device-error', client };
  // To another server and back: what the first one still holds has grown old meanwhile.
  if (servers > 1 && dice.chance(0.5)) return { atMs, kind: 'move', client };
  return dice.chance(0.75) ? drawClientFault(dice, atMs, client) : drawServerFault(dice, atMs, servers);
}

function drawClientFault(dice: Dice, atMs: number, client: number): Fault {
  const kind = dice.pick(CLIENT_KINDS);
  const direction = dice.pick(['up', 'down'] as const);
  switch (kind) {
    case 'cut':
    case 'half-open':
    case 'old-token':
      return { atMs, kind, client };
    case 'cut-at-frame':
      return { atMs, kind, client, direction, frames: dice.integer(1, 4) };
    case 'flip':
      return { atMs, kind, client, direction };
    case 'stall':
    case 'offline':
    case 'sleep':
    case 'clock-jump':
      return { atMs, kind, client, durationMs: dice.chance(0.1) ? 20_000 : dice.integer(1, 2_000) };
  }
}

function drawServerFault(dice: Dice, atMs: number, servers: number): Fault {
  const kind = dice.pick(SERVER_KINDS);
  const server = dice.integer(0, servers - 1);
  switch (kind) {
    case 'engine-kill':
      return { atMs, kind, server };
    case 'engine-error':
      return { atMs, kind, server, steps: dice.integer(1, 5) };
    case 'slow-engine':
      return { atMs, kind, server, factor: dice.integer(2, 100), durationMs: dice.integer(100, 3_000) };
    case 'server-crash':
    case 'drain':
      return { atMs, kind, server, downMs: dice.chance(0.5) ? 0 : dice.integer(0, 3_000) };
    case 'crowd':
      return { atMs, kind, server, strangers: dice.integer(1, 8) };
  }
}

export function inflict(fault: Fault, { clients, servers, moveClient, crowd }: World): void {
  if ('client' in fault) {
    const client = clients[fault.client];
    switch (fault.kind) {
      case 'cut':
        return client?.link.cut();
      case 'half-open':
        return client?.link.silence();
      case 'passage-lost':
        return client?.passageLoss.plan();
      case 'cut-at-frame':
        return client?.cutAtFrame(fault.direction, fault.frames);
      case 'stall':
        return client?.link.stall(fault.durationMs);
      case 'offline':
        return client?.goOffline(fault.durationMs);
      case 'sleep':
        return client?.clock.nap(fault.durationMs);
      case 'clock-jump':
        return client?.clock.jump(fault.durationMs);
      case 'flip':
        return client?.link.flipNext(fault.direction);
      case 'device-error':
        return client?.failDeviceStep();
      case 'old-token':
        return client?.forgetToken();
      case 'move':
        return moveClient(fault.client);
    }
  }
  const server = servers[fault.server];
  switch (fault.kind) {
    case 'engine-kill':
      return server?.killEngine();
    case 'engine-error':
      return server?.failSteps(fault.steps);
    case 'slow-engine':
      return server?.slowDown(fault.factor, fault.durationMs);
    case 'server-crash':
      server?.crash(fault.downMs);
      for (const client of clients) if (client.server === fault.server) client.link.cut();
      return;
    case 'drain':
      return server?.drain(fault.downMs);
    case 'crowd':
      return crowd(fault.server, fault.strangers);
    case 'larger-model':
      return server?.largerModel.fail(fault.how, fault.completions);
  }
}
