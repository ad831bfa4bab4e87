import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';

/** Resident bytes of the processes that run pages. Linux only: `undefined` elsewhere. */
export async function pageProcessBytes(browser: Browser): Promise<number | undefined> {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
  await devtools.detach();
  const renderers = processInfo.filter(({ type }) => type === 'renderer');
  try {
    return renderers.reduce((sum, { id }) => sum + residentBytes(id), 0);
  } catch {
    return undefined;
  }
}

function residentBytes(processId: number): number {
  const status = readFileSync(`/proc/${processId}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
