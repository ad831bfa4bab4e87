import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { GREEDY, makeStory, openSession, pause } from './load-client.js';
import type { LoadReport } from './load-report.js';
import { ServerProcess } from './server-process.js';

/** Steps long enough for the engine to be what is overloaded, and not the sockets. */
const SHAPE = { width: 256, layers: 8, heads: 4, kvHeads: 4, headDim: 64, feedForward: 768, vocabularySize: 512 };
const PROMPT_ROWS = 8;
const ROWS_PER_STEP = 4;
const STEPS = 6;
const LENGTH = PROMPT_ROWS + STEPS * ROWS_PER_STEP;
/** Sessions that fit into the context budget: about twenty. */
const BUDGET_MIB = 16;
const PEAK_SESSIONS = 16;
const PEAK_S = 8;
const FACTOR = 4;
const WAIT_MS_MAX = 1_000;
const RECOVERY_S_MAX = 5;
const CONTROL_S = 12;

/**
 * Sessions that arrive four times as fast as the server can tell them, for `seconds`. It refuses what it cannot take,
 * goes on at 90 % of its best with the rest, keeps their waits short, and is itself again within five seconds.
 * Control: a server that refuses nobody.
 */
export async function loadOverload(seconds: number): Promise<LoadReport> {
  const bundle = await makeSmallBundle(2, { shape: SHAPE });
  const server = await ServerProcess.start(bundle.directory, '--context-mib', `${BUDGET_MIB}`);
  const crowd = await Crowd.create(server.url, bundle);
  const peak = await crowd.closedLoop(PEAK_SESSIONS, Math.min(PEAK_S, seconds));
  const calm = await crowd.closedLoop(2, 3);
  const flood = await crowd.arrivals((FACTOR * peak.perS) / (STEPS + 1), seconds);
  const recoveryS = await crowd.secondsUntilCalm(2 * calm.p99Ms);
  await server.close();
  const open = await ServerProcess.start(bundle.directory, '--context-mib', '8192');
  const unguarded = await (await Crowd.create(open.url, bundle)).arrivals(
    (FACTOR * peak.perS) / (STEPS + 1),
    Math.min(CONTROL_S, seconds),
  );
  await open.close();
  await bundle.remove();
  return {
    test: 'overload',
    size: seconds,
    checks: [
      {
        what: 'goodput that is missing',
        value: Math.max(0, 100 - (100 * flood.perS) / peak.perS),
        limit: 10,
        unit: '%',
      },
      { what: 'wait of a step, p99', value: flood.waitP99Ms, limit: WAIT_MS_MAX, unit: 'ms' },
      { what: 'answers that are no refusal and no verdict', value: flood.broken, limit: 0, unit: 'sessions' },
      { what: 'until it is itself again', value: recoveryS, limit: RECOVERY_S_MAX, unit: 's' },
    ],
    control: {
      what: 'wait of a step, p99, where nobody is refused',
      value: unguarded.waitP99Ms,
      limit: WAIT_MS_MAX,
      unit: 'ms',
    },
    figures: {
      peakVerdictsPerS: peak.perS,
      overloadVerdictsPerS: flood.perS,
      arrivals: flood.arrivals,
      refused: flood.refused,
      calmP99Ms: calm.p99Ms,
    },
  };
}

interface Tally {
  verdicts: number;
  answerMs: number[];
  waitMs: number[];
  arrivals: number;
  refused: number;
  broken: number;
}

interface Result extends Tally {
  perS: number;
  p99Ms: number;
  waitP99Ms: number;
}

/** Devices as far as a server can tell: sessions of a prompt and a few verifies. */
class Crowd {
  readonly #url: string;
  readonly #bundle: SmallBundle;
  readonly #rows: Uint8Array;
  #sessions = 0;

  private constructor(url: string, bundle: SmallBundle, rows: Uint8Array) {
    this.#url = url;
    this.#bundle = bundle;
    this.#rows = rows;
  }

  static async create(url: string, bundle: SmallBundle): Promise<Crowd> {
    return new Crowd(url, bundle, (await makeStory(bundle, LENGTH)).rows);
  }

  /** So many at a time, the next when one is over. */
  async closedLoop(width: number, seconds: number): Promise<Result> {
    const tally = newTally();
    const startedMs = performance.now();
    const isOver = () => performance.now() > startedMs + seconds * 1_000;
    const lane = async () => {
      while (!isOver()) await this.#session(tally, isOver);
    };
    await Promise.all(Array.from({ length: width }, lane));
    return summed(tally, (performance.now() - startedMs) / 1_000);
  }

  /** So many new ones a second, whatever becomes of the others. */
  async arrivals(perS: number, seconds: number): Promise<Result> {
    const tally = newTally();
    const startedMs = performance.now();
    const elapsedS = () => (performance.now() - startedMs) / 1_000;
    const isOver = () => elapsedS() > seconds;
    const sessions: Promise<void>[] = [];
    while (!isOver()) {
      while (sessions.length < perS * elapsedS()) sessions.push(this.#session(tally, isOver));
      await pause(5);
    }
    const elapsed = elapsedS();
    await Promise.all(sessions);
    return summed({ ...tally, arrivals: sessions.length }, elapsed);
  }

  /** Until a second goes by in which two devices are served as before. */
  async secondsUntilCalm(p99Ms: number): Promise<number> {
    const startedMs = performance.now();
    for (;;) {
      const { answerMs, refused, broken } = await this.closedLoop(2, 1);
      const seconds = (performance.now() - startedMs) / 1_000;
      if ((quantile(answerMs, 0.99) <= p99Ms && refused + broken === 0) || seconds > 60) return seconds - 1;
    }
  }

  async #session(tally: Tally, isOver: () => boolean): Promise<void> {
    const sessionId = `load-over-${this.#sessions++}-0123456789`;
    try {
      const { client } = await openSession(this.#url, sessionId, this.#bundle, { capacity: LENGTH });
      for (let step = 0; step <= STEPS && !isOver(); step++) {
        const [from, count] = step === 0 ? [0, PROMPT_ROWS] : [PROMPT_ROWS + (step - 1) * ROWS_PER_STEP, ROWS_PER_STEP];
        const bytesPerRow = this.#rows.length / LENGTH;
        const control = { epoch: step + 1, from, count, want: [from + count - 1], drafts: [], sampling: GREEDY };
        const askedMs = performance.now();
        client.send('context-forward', control, this.#rows.subarray(from * bytesPerRow, (from + count) * bytesPerRow));
        const { queueMs } = await client.take('verdict');
        tally.waitMs.push(queueMs);
        if (isOver()) break;
        tally.verdicts++;
        tally.answerMs.push(performance.now() - askedMs);
      }
      client.send('session-close', {});
      client.transport.close();
    } catch (error) {
      if ((error as Error).message === 'SERVER_BUSY') tally.refused++;
      else tally.broken++;
    }
  }
}

function newTally(): Tally {
  return { verdicts: 0, answerMs: [], waitMs: [], arrivals: 0, refused: 0, broken: 0 };
}

function summed(tally: Tally, seconds: number): Result {
  const p99Ms = quantile(tally.answerMs, 0.99);
  return { ...tally, perS: tally.verdicts / seconds, p99Ms, waitP99Ms: quantile(tally.waitMs, 0.99) };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
