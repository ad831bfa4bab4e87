/** What a load came to: the number that has to stay below the line. */
export interface Served {
  sessions: number;
  answerP99Ms: number;
}

/** The largest load that was served. */
export interface Capacity {
  sessions: number;
  /** The next larger one that was tried was served, too: nothing larger was tried. */
  isBound: boolean;
}

/** Other work on the machine only ever makes a try slower: a load that was served once can be served. */
const TRIES = 2;
const STEPS = 8;

/**
 * The most sessions whose 99th percentile stays at or below `p99MsMax`: first in strides from what is known, then in halves
 * of the gap. `measure` runs one load.
 */
export async function findCapacity(
  known: readonly Served[],
  p99MsMax: number,
  sessionsMax: number,
  measure: (sessions: number) => Promise<Served>,
): Promise<Capacity> {
  const isServed = async (sessions: number) => {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if ((await measure(sessions)).answerP99Ms <= p99MsMax) return true;
    }
    return false;
  };
  let served = Math.max(
    0,
    ...known.filter(({ answerP99Ms }) => answerP99Ms <= p99MsMax).map(({ sessions }) => sessions),
  );
  let failed = Math.min(Infinity, ...known.map(({ sessions }) => sessions).filter((sessions) => sessions > served));
  // A single bad try says little: the load that failed is tried again before anything is built on it.
  while (served < sessionsMax) {
    const next = Number.isFinite(failed) ? failed : Math.min(sessionsMax, served * 2);
    if (!(await isServed(next))) {
      failed = next;
      break;
    }
    served = next;
    failed = Math.min(Infinity, ...known.map(({ sessions }) => sessions).filter((sessions) => sessions > served));
  }
  if (served >= sessionsMax) return { sessions: served, isBound: true };
  for (let step = 0; step < STEPS && failed - served > Math.max(1, served / 64); step++) {
    const middle = Math.round((served + failed) / 2);
    if (await isServed(middle)) served = middle;
    else failed = middle;
  }
  return { sessions: served, isBound: false };
}
