import type { RollingEntropyOptions } from '@tandem/cloud/testing';
import type { SessionOptions } from '@tandem/edge';
import type { LinkProfile } from '@tandem/netsim';
import { drawFaults, type Fault } from './faults.js';
import { CONTEXT_LENGTH } from './hash-chain.js';
import { Dice } from './sim-random.js';
import { withBatches } from './with-batches.js';
import { withLargerModel } from './with-larger-model.js';
import { withPrefixes } from './with-prefixes.js';

/** All that happens in one run, decided beforehand: a failing one can be shrunk by leaving things out. */
export interface Scenario {
  seed: number;
  /** Probability that an exit is right, by device stage. */
  accuracy: number[];
  server: ServerPlan;
  servers: number;
  clients: ClientPlan[];
  /** By time. */
  faults: Fault[];
}

export interface ServerPlan {
  sessionsMax: number;
  resumeWindowMs: number;
  startMs: number;
  stepMs: number;
  /** Sessions whose steps its engine runs as one; undefined: one. */
  batchSlots?: number;
  hasEos: boolean;
  /** For the contexts of all sessions; where it is small, they are compacted and dropped while they are told. */
  contextBudgetBytes: number;
  /** Whether a connection has to prove with a token that it is the session's. */
  hasResumeTokens: boolean;
  largerModel?: LargerModelPlan;
}

/** When it is asked, and how quick it is. */
export interface LargerModelPlan extends RollingEntropyOptions {
  tokensMax: number;
  timeoutMs: number;
  /** Between its first word and the next ones. */
  pieceMs: number;
}

export interface ClientPlan {
  options: Pick<
    SessionOptions,
    'mode' | 'onCloudUnavailable' | 'codec' | 'draftLength' | 'promptAs' | 'largerModel'
  > & {
    branches: boolean;
    draftFloor: number;
    threshold: number;
    capacity: number;
  };
  unavailableAfterMs: number;
  link: LinkProfile;
  stepMs: number;
  startMs: number;
  /** Number of the client whose session this one opens, too: a second tab. */
  tabOf: number | undefined;
  /** How its prompts begin, and those of others. */
  prefix?: PrefixPlan;
  turns: Turn[];
}

export interface PrefixPlan {
  tokens: number[];
  /** Whether the device's stages run it beforehand. */
  isPrimed: boolean;
}

export interface Turn {
  pauseMs: number;
  /** Goes on with the text so far, as a chat does; else the prompt starts a new one. */
  goesOn: boolean;
  prompt: number[];
  /** So many tokens of the prefix stand before the prompt of a new text. */
  prefixTokens?: number;
  maxOutputTokens: number;
  temperature: number;
  seed: number;
  emit: 'settled' | 'provisional';
  end: { kind: 'whole' } | { kind: 'abort' | 'dispose'; afterMs: number } | { kind: 'leave'; afterParts: number };
}

const CLIENTS_MAX = 3;
const TURNS_MAX = 4;

/** What not every scenario has is drawn from streams of its own: the others stay as they are. */
export function drawScenario(seed: number): Scenario {
  return withLargerModel(withPrefixes(withBatches(drawPlain(seed))));
}

function drawPlain(seed: number): Scenario {
  const dice = new Dice(seed);
  const clients = dice.integer(1, CLIENTS_MAX);
  const servers = dice.chance(0.4) ? 2 : 1;
  const hasEos = dice.chance(0.3);
  const plans = withTabs(Array.from({ length: clients }, (_, index) => drawClient(dice, index)));
  const faults = drawFaults(dice, clients, servers);
  // The tab that loses its session does not hear of it, and comes back for it.
  const hasTabs = plans.some(({ tabOf }) => tabOf !== undefined);
  if (hasTabs) faults.push({ atMs: dice.integer(200, 3_000), kind: 'half-open', client: 0 });
  return {
    seed,
    accuracy: [dice.between(0.3, 0.9), dice.between(0.5, 1)],
    servers,
    server: {
      sessionsMax: dice.chance(0.2) ? dice.integer(1, clients) : 8,
      // Between two servers it is of use only if the first one still knows the session.
      resumeWindowMs: dice.pick(servers > 1 ? [120_000] : [300, 3_000, 120_000]),
      startMs: dice.pick([0, 50, 500]),
      stepMs: dice.pick([1, 4, 20]),
      hasEos,
      contextBudgetBytes: dice.pick([Number.MAX_SAFE_INTEGER, 1_500, 300]),
      hasResumeTokens: dice.chance(0.5),
    },
    clients: plans,
    faults: faults.sort((a, b) => a.atMs - b.atMs),
  };
}

function drawClient(dice: Dice, index: number): ClientPlan {
  const mode = dice.pick(['exact', 'exact', 'exact', 'collaborative', 'cloud-only'] as const);
  const isImpatient = dice.chance(0.1);
  return {
    options: {
      mode,
      onCloudUnavailable: dice.pick(['wait', 'wait', 'degrade', 'fail'] as const),
      codec: dice.pick(['f32', 'f16'] as const),
      ...(dice.chance(0.3) ? {} : { draftLength: dice.integer(0, 8) }),
      branches: dice.chance(0.7),
      draftFloor: dice.chance(0.3) ? 0.2 : 0,
      threshold: dice.pick([0.5, 0.8]),
      capacity: dice.chance(0.2) ? 48 : CONTEXT_LENGTH,
    },
    unavailableAfterMs: dice.pick([200, 5_000]),
    link: drawLink(dice),
    stepMs: dice.pick([0, 2, 8]),
    startMs: dice.integer(0, 1_000),
    tabOf: index > 0 && dice.chance(0.3) ? 0 : undefined,
    turns: Array.from({ length: dice.integer(1, isImpatient ? 2 : TURNS_MAX) }, () =>
      isImpatient ? [drawTurn(dice, true), drawTurn(dice, true), drawTurn(dice, false)] : drawTurn(dice, false),
    ).flat(),
  };
}

/** Tabs of one session come from one app, so they open it in the same way. */
function withTabs(plans: ClientPlan[]): ClientPlan[] {
  return plans.map((plan) => {
    const other = plan.tabOf === undefined ? undefined : plans[plan.tabOf]!;
    return other ? { ...plan, options: other.options } : plan;
  });
}

function drawLink(dice: Dice): LinkProfile {
  const rttMs = dice.pick([0, 10, 60, 300]);
  return {
    rttMs,
    jitterMs: rttMs / 5,
    ...(dice.chance(0.3) ? { upBytesPerS: 20_000, downBytesPerS: 40_000 } : {}),
    reconnectRefusedMs: dice.chance(0.3) ? dice.integer(0, 1_500) : 0,
  };
}

/** Who types into a running answer aborts one after the other, before the server has come to the first. */
function drawTurn(dice: Dice, isImpatient: boolean): Turn {
  const end = isImpatient ? 0 : dice.integer(0, 9);
  return {
    pauseMs: isImpatient ? dice.integer(0, 20) : dice.chance(0.7) ? dice.integer(0, 200) : dice.integer(0, 4_000),
    goesOn: dice.chance(0.6),
    prompt: Array.from({ length: dice.integer(1, 12) }, () => dice.integer(1, 23)),
    maxOutputTokens: dice.integer(1, 32),
    temperature: dice.chance(0.5) ? 0 : 0.8,
    seed: dice.integer(0, 1_000),
    emit: dice.chance(0.2) ? 'provisional' : 'settled',
    end:
      end === 0
        ? { kind: 'abort', afterMs: dice.integer(0, isImpatient ? 40 : 800) }
        : end === 1
          ? { kind: 'leave', afterParts: dice.integer(0, 6) }
          : end === 2 && dice.chance(0.3)
            ? { kind: 'dispose', afterMs: dice.integer(0, 800) }
            : { kind: 'whole' },
  };
}
