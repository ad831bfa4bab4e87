import { type CloudServer, startServer } from '@tandem/cloud';
import type { SessionOptions } from '@tandem/edge';
import type { Browser, CDPSession, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage, openIn, sampledStory } from '../support/edge-page.js';
import { OPENINGS, talesBundle } from '../support/tales.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** What pages do by default: the same text as with the session in the page, and less work for the page's thread. */
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

  const story = (index: number, maxOutputTokens?: number) => sampledStory(server.url, index, maxOutputTokens);

  it('loads under the strict policy, and tells what a session in the page tells', async () => {
    // The one whose kernels are the same everywhere.
    const device = { device: 'wasm' } as const;
    const one = await here.act('load', 'model', { ...device, worker: false });
    const other = await there.act('load', 'model', device);
    expect(other.backend).toBe(one.backend);
    expect(scriptsOf(here)).toEqual(['wasm-worker.js']);
    expect(scriptsOf(there)).toEqual(['host-worker.js', 'wasm-worker.js']);
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

  describe('where there is no such worker, the session stays in the page', () => {
    const expectStory = async (page: EdgePage, obstacle: RegExp) => {
      const { backend } = await page.act('load', 'model', { device: 'wasm' });
      expect(backend).toMatch(obstacle);
      expect(scriptsOf(page)).toEqual(['wasm-worker.js']);
      const right = await here.act('tell', story(8));
      expect((await page.act('tell', story(8))).tokens).toEqual(right.tokens);
    };

    it('its script is missing', async () => {
      const page = await openAltered('**/host-worker.js', (route) => route.fulfill({ status: 404 }));
      await expectStory(page, /^onnxruntime-web wasm, f16 \(session not in a worker: it did not start\)$/);
    });

    it('the policy allows only the one of the engine', async () => {
      const { policy } = app;
      app.policy = policy.replace("worker-src 'self'", `worker-src ${app.url}wasm-worker.js`);
      try {
        const page = await openEdgePage(browser, app.url);
        await expectStory(page, /session not in a worker: it did not start/);
      } finally {
        app.policy = policy;
      }
    });

    it('it cannot start the one of the engine', async () => {
      const page = await openAltered('**/host-worker.js', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: `delete globalThis.Worker;\n${await response.text()}` });
      });
      await expectStory(page, /session not in a worker: .*workers cannot start workers in this browser/);
    });
  });

  it('lies beside the script of the engine where an app names that, and ends with the model', async () => {
    const page = await openEdgePage(browser, app.url);
    const { backend } = await page.act('load', 'model', { device: 'wasm', worker: 'wasm-worker.js' });
    expect(backend).toBe('onnxruntime-web wasm, f16');
    expect(scriptsOf(page)).toEqual(['host-worker.js', 'wasm-worker.js']);
    await page.act('dispose');
    // The browser tells of it a moment later.
    await expect.poll(() => scriptsOf(page)).toEqual([]);
  });

  it('is not another one inside of a worker', async () => {
    const page = await openEdgePage(browser, app.url);
    expect(await page.act('loadInOwnWorker', 'model')).toBe('onnxruntime-web wasm, f16');
    expect(scriptsOf(page)).toEqual(['own-worker.js', 'wasm-worker.js']);
  });

  /** A page whose answer from the app is another one. */
  async function openAltered(url: string, alter: (route: Route) => Promise<void>): Promise<EdgePage> {
    const context = await browser.newContext();
    await context.route(url, alter);
    return await openIn(context, app.url);
  }

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

function scriptsOf({ page }: EdgePage): string[] {
  return page.workers().map((worker) => new URL(worker.url()).pathname.slice(1));
}

async function taskMs(devtools: CDPSession): Promise<number> {
  const { metrics } = await devtools.send('Performance.getMetrics');
  return 1_000 * metrics.find(({ name }) => name === 'TaskDuration')!.value;
}
