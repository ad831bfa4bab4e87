import { readFileSync } from 'node:fs';

/** How the process is at one moment. */
export interface Vitals {
  atS: number;
  /** Of JavaScript's heap and the buffers behind it, after a collection where the process may ask for one. */
  heapMib: number;
  residentMib: number;
  /** Sockets, servers, timers, child processes, worker ports: what would keep the process alive. */
  handles: number;
  /** Of the engine's process; it is another one after each kill and restart. */
  engineMib: number;
}

export function takeVitals(atS: number, engineProcessIds: readonly number[]): Vitals {
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return {
    atS,
    heapMib: mib(heapUsed + external),
    residentMib: mib(rss),
    handles: process.getActiveResourcesInfo().length,
    engineMib: engineProcessIds.reduce((sum, id) => sum + residentOf(id), 0),
  };
}

/**
 * Growth per hour: the median of the slopes between any two samples (Theil and Sen), which one outlier does not move.
 * The first quarter is warm-up and does not count.
 */
export function slopePerHour(samples: readonly Vitals[], of: (vitals: Vitals) => number): number {
  const warm = samples.slice(Math.floor(samples.length / 4));
  const slopes = warm.flatMap((from, i) =>
    warm.slice(i + 1).map((to) => ((of(to) - of(from)) / (to.atS - from.atS)) * 3_600),
  );
  return median(slopes);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(10 * (sorted[Math.floor(sorted.length / 2)] ?? 0)) / 10;
}

function mib(bytes: number): number {
  return Math.round((10 * bytes) / 2 ** 20) / 10;
}

/** Of another process, where the system tells; 0 elsewhere, and for one that is gone. */
function residentOf(processId: number): number {
  try {
    const status = readFileSync(`/proc/${processId}/status`, 'utf8');
    return Math.round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024);
  } catch {
    return 0;
  }
}
