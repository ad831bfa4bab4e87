import { type CloudServer, startServer } from '@tandem/cloud';
import type { SessionOptions } from '@tandem/edge';
import type { Browser, CDPSession } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage } from '../support/edge-page.js';
import { OPENINGS, talesBundle } from '../support/tales.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** `worker: true` in a page: the same text as with the session in the page, and less work for the page's thread. */
describe.skipIf(!CHROMIUM)(inChromium('a model in a worker'), () => {
  let browser: Browser;
  let app: WebApp;
  let server: CloudServer;
  let here: EdgePage;
  let there: EdgePage;

  beforeAll(async () => {
    const bundle = await talesBundle(['f16']);
    browser = await launchChromium();
    app = await startWebApp('edge-page.ts', bundle);
    server = await startServer({ model: bundle, port: 0, format: 'f16', logLevel: 'silent', threads: 1 });
    here = await openEdgePage(browser, app.url);
    there = await openEdgePage(browser, app.url);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await app?.close();
  });

  const story = (index: number, maxOutputTokens = 40) => ({
    cloudUrl: server.url,
    opening: OPENINGS[index]!,
    temperature: 0.8,
    seed: index,
    maxOutputTokens,
  });

  it('loads under the strict policy, and tells what a session in the page tells', async () => {
    // The one whose kernels are the same everywhere.
    const device = { device: 'wasm' } as const;
    const one = await here.act('load', 'model', device);
    const other = await there.act('loadInWorker', 'model', device);
    expect(other.backend).toBe(one.backend);
    expect(other.progress.at(-1)).toMatchObject({ stage: 'ready' });
    for (const index of [3, 4]) {
      const right = await here.act('tell', story(index));
      expect((await there.act('tell', story(index))).tokens).toEqual(right.tokens);
      // The address comes from a function of the page.
      expect(await there.act('tellInPieces', story(index))).toEqual({ code: 'ABORTED', tokens: right.tokens });
    }
    const session = { mode: 'device-only', threshold: [0.5, 0] } satisfies Omit<SessionOptions, 'cloud'>;
    const alone = await here.act('tell', { ...story(5), session });
    expect((await there.act('tell', { ...story(5), session })).tokens).toEqual(alone.tokens);
    expect(await there.act('encode', OPENINGS[0]!)).toEqual(await here.act('encode', OPENINGS[0]!));
    expect([...here.complaints, ...there.complaints]).toEqual([]);
  });

  it('failures cross with their codes, and the page goes on', async () => {
    const wrong = { ...story(6), session: { policy: 'mine' } as never };
    await expect(there.act('tell', wrong)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    const long = { ...story(6), opening: OPENINGS.join(' ').repeat(2) };
    await expect(there.act('tell', long)).rejects.toMatchObject({ code: 'CONTEXT_TOO_LONG' });
    expect((await there.act('tell', story(6, 4))).tokens).toHaveLength(4);
  });

  it("takes less of the page's thread", async () => {
    const busyHere = await busyMsPerToken(here);
    const busyThere = await busyMsPerToken(there);
    console.log(
      `the page's thread: ${busyThere.toFixed(2)} ms a token with a worker, ${busyHere.toFixed(2)} ms without`,
    );
    expect(busyThere).toBeLessThan(busyHere);
  });

  async function busyMsPerToken(page: EdgePage): Promise<number> {
    const devtools = await page.context.newCDPSession(page.page);
    // Time on the processor: what else the machine does is not counted.
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const before = await taskMs(devtools);
      const { tokens } = await page.act('tell', story(7, 60));
      times.push(((await taskMs(devtools)) - before) / tokens.length);
    }
    return Math.min(...times);
  }
});

async function taskMs(devtools: CDPSession): Promise<number> {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return 1_000 * metrics.find(({ name }) => name === 'TaskDuration')!.value;
}
