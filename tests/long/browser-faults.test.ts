import { type CloudServer, startServer } from '@tandem/cloud';
import { startProxy } from '@tandem/netsim';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage } from '../support/edge-page.js';
import { talesBundle } from '../support/tales.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** Longer than a server waits for a sign of life. */
const FROZEN_MS = 30_000;

/**
 * What befalls a page in the middle of a story; the text is the one of a story that nothing befell. What befalls a download is
 * in tests/browser/delivery.test.ts, a lost GPU in webgpu.test.ts.
 */
describe.skipIf(!CHROMIUM)(inChromium('a story in Chromium that is disturbed'), () => {
  let browser: Browser;
  let app: WebApp;
  let server: CloudServer;
  let bundle: string;
  let page: EdgePage;
  let undisturbed: number[];

  beforeAll(async () => {
    bundle = await talesBundle(['f16']);
    browser = await launchChromium();
    app = await startWebApp('edge-page.ts', bundle);
    server = await start(0);
    page = await openEdgePage(browser, app.url);
    await page.act('load', 'model', { device: 'wasm' });
    undisturbed = (await page.act('tell', story())).tokens;
    expect(undisturbed.length).toBeGreaterThan(200);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await app?.close();
  });
  beforeEach(() => page.page.evaluate(() => void Object.assign(globalThis, { told: 0 })));

  const start = (port: number) => startServer({ model: bundle, port, format: 'f16', logLevel: 'silent', threads: 1 });
  const told = () => page.page.evaluate(() => (globalThis as unknown as { told: number }).told);
  const longestGapMs = () => page.page.evaluate(() => (globalThis as unknown as { longestGapMs: number }).longestGapMs);
  /** Pages and their workers run in them. */
  const rendererProcesses = async () => {
    const devtools = await browser.newBrowserCDPSession();
    const { processInfo } = await devtools.send('SystemInfo.getProcessInfo');
    await devtools.detach();
    return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  };
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const story = () => ({
    cloudUrl: server.url,
    opening: 'Once upon a time',
    temperature: 0.8,
    seed: 12,
    maxOutputTokens: 400,
    // A round trip per token: long enough to be disturbed in its middle.
    session: { draftLength: 0 },
  });
  const inTheMiddle = () => page.page.waitForFunction(() => (globalThis as unknown as { told: number }).told > 20);

  it('by a frozen tab', async () => {
    const telling = page.act('tell', story());
    await inTheMiddle();
    // Page.setWebLifecycleState leaves a page that is shown alone; a stopped process is as frozen as can be.
    const renderers = await rendererProcesses();
    for (const id of renderers) process.kill(id, 'SIGSTOP');
    await sleep(FROZEN_MS);
    for (const id of renderers) process.kill(id, 'SIGCONT');
    expect((await telling).tokens).toEqual(undisturbed);
    expect(await longestGapMs()).toBeGreaterThan(0.9 * FROZEN_MS);
  });

  it('by a network that is away, and back', async () => {
    const telling = page.act('tell', story());
    await inTheMiddle();
    await page.context.setOffline(true);
    await sleep(1_000);
    const before = await told();
    await sleep(3_000);
    expect(await told()).toBe(before);
    expect(before).toBeLessThan(undisturbed.length);
    await page.context.setOffline(false);
    expect((await telling).tokens).toEqual(undisturbed);
  });

  it('by an upgrade of the server', async () => {
    const port = Number(new URL(server.url).port);
    // A link that takes its time: without one the story may be over before the server is.
    const link = await startProxy({ target: { host: '127.0.0.1', port }, profile: { rttMs: 20 } });
    const telling = page.act('tell', { ...story(), cloudUrl: `ws://127.0.0.1:${link.port}` });
    await inTheMiddle();
    await server.close();
    expect(await told()).toBeLessThan(undisturbed.length);
    server = await start(port);
    expect((await telling).tokens).toEqual(undisturbed);
    await link.close();
  });
});
