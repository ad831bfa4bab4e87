import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const COMMAND = fileURLToPath(new URL('../../cloud-server/bin/tandem-cloud.js', import.meta.url));

/** A `tandem-cloud` of its own, and what it said so far. */
export interface Run {
  child: ChildProcess;
  out: string;
  err: string;
  /** All of its processes are gone: the engine's, too, holds standard error open. */
  ended: Promise<{ code: number | null; signal: string | null }>;
}

export function start(args: string[], environment: Record<string, string> = {}): Run {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  const run: Run = { child, out: '', err: '', ended };
  child.stdout.on('data', (chunk) => {
    run.out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    run.err += chunk;
  });
  return run;
}

/** Port from the one line on standard output. */
export async function serving(run: Run): Promise<number> {
  const isOver = run.ended.then(() => true);
  while (!run.out.includes('\n')) {
    if (await Promise.race([isOver, once(run.child.stdout!, 'data').then(() => false)])) break;
  }
  const line = /^tandem-cloud \S+ serves \S+ \((?:f32|q8)\) at ws:\/\/127\.0\.0\.1:(\d+), process (\d+)\n$/.exec(
    run.out,
  );
  expect(line, `${run.out}${run.err}`).not.toBeNull();
  expect(Number(line?.[2])).toBe(run.child.pid);
  return Number(line?.[1]);
}
