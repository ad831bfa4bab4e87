import { readFileSync } from 'node:fs';

/** Linux counts in ticks of 1/100 s, whatever its kernel's own are. */
const MS_PER_TICK = 10;

/** What a process has computed so far, all of its threads; undefined where the system does not say it as Linux does. */
export function processCpuMs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the name, which may hold anything, the third field comes first; 14 and 15 are user and system time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
  } catch {
    return undefined;
  }
}
