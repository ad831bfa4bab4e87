import { type CloudServer, startServer } from '@tandem/cloud';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage, openIn, sampledStory } from '../support/edge-page.js';
import { talesBundle } from '../support/tales.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** `worker: 'shared'`: tabs of one origin have one model, and none of them notices that another one goes. */
describe.skipIf(!CHROMIUM)(inChromium('a model for all tabs'), () => {
  const shared = { worker: 'shared', device: 'wasm' } as const;
  let browser: Browser;
  let app: WebApp;
  let server: CloudServer;
  let context: BrowserContext;
  /** Of the page alone: what each story must be. */
  let alone: EdgePage;

  beforeAll(async () => {
    const bundle = await talesBundle(['f16']);
    browser = await launchChromium();
    app = await startWebApp('edge-page.ts', bundle);
    server = await startServer({ model: bundle, port: 0, format: 'f16', logLevel: 'silent', threads: 1 });
    alone = await openEdgePage(browser, app.url);
    await alone.act('load', 'model', { device: 'wasm' });
  });
  beforeEach(async () => {
    context = await browser.newContext();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await app?.close();
  });

  const story = (index: number, maxOutputTokens?: number) => sampledStory(server.url, index, maxOutputTokens);

  it('is loaded once, and both tabs tell their stories at once', async () => {
    const tabs = [await openIn(context, app.url), await openIn(context, app.url)];
    const loaded = await Promise.all(tabs.map((tab) => tab.act('load', 'model', shared)));
    const late = await openIn(context, app.url);
    const { progress, backend } = await late.act('load', 'model', shared);
    for (const tab of loaded) {
      expect(tab.backend).toBe('onnxruntime-web wasm, f16');
      expect(tab.progress.at(-1)).toMatchObject({ stage: 'ready' });
    }
    expect(backend).toBe('onnxruntime-web wasm, f16');
    // Those who come late find the stages there.
    expect(progress.filter(({ stage }) => stage === 'device-stages')).toEqual([]);
    expect(progress.at(-1)).toMatchObject({ stage: 'ready' });
    expect(await sharedWorkers()).toBe(1);
    const told = await Promise.all([...tabs, late].map((tab, index) => tab.act('tell', story(index))));
    for (const [index, { tokens }] of told.entries()) {
      expect(tokens).toEqual((await alone.act('tell', story(index))).tokens);
    }
    // Of the tabs themselves nothing is left to do but to show text.
    expect([...tabs, late].flatMap(({ page }) => page.workers())).toEqual([]);
    expect([...tabs, late].flatMap(({ complaints }) => complaints)).toEqual([]);
    await context.close();
  });

  it('outlives a tab that is closed in mid-story, and nothing of that tab stays', async () => {
    const staying = await openIn(context, app.url);
    const leaving = await openIn(context, app.url);
    await Promise.all([staying, leaving].map((tab) => tab.act('load', 'model', shared)));
    const right = (await alone.act('tell', story(9, 160))).tokens;
    const left = leaving.act('tell', story(10, 400)).catch(() => 'gone');
    await leaving.page.waitForFunction(() => (globalThis as { told?: number }).told! > 5);
    const telling = staying.act('tell', story(9, 160));
    await staying.page.waitForFunction(() => (globalThis as { told?: number }).told! > 5);
    expect(await connectedSessions()).toBe(2);
    await leaving.page.close();
    expect((await telling).tokens).toEqual(right);
    expect(await left).toBe('gone');
    await expect.poll(connectedSessions).toBe(0);
    expect((await staying.act('tell', story(11))).tokens).toEqual((await alone.act('tell', story(11))).tokens);
    await context.close();
  });

  it('ends with the last tab that needs it, and is loaded anew for the next', async () => {
    const one = await openIn(context, app.url);
    const other = await openIn(context, app.url);
    await one.act('load', 'model', shared);
    await other.act('load', 'model', shared);
    await one.act('dispose');
    expect((await other.act('tell', story(3, 8))).tokens).toHaveLength(8);
    await other.act('dispose');
    for (let round = 0; round < 3; round++) {
      // At once: the shared worker is about to end.
      const { progress } = await one.act('load', 'model', shared);
      expect(progress.some(({ stage }) => stage === 'device-stages')).toBe(true);
      expect((await one.act('tell', story(3, 8))).tokens).toHaveLength(8);
      await one.act('dispose');
    }
    await expect.poll(sharedWorkers).toBe(0);
    await context.close();
  });

  it('is one in a worker of the tab where there is no shared one', async () => {
    await context.addInitScript(() => Reflect.deleteProperty(globalThis, 'SharedWorker'));
    const tab = await openIn(context, app.url);
    const { backend } = await tab.act('load', 'model', shared);
    expect(backend).toBe('onnxruntime-web wasm, f16 (not shared by tabs: Error: this browser has no shared workers)');
    expect((await tab.act('tell', story(3, 8))).tokens).toHaveLength(8);
    await context.close();
  });

  async function sharedWorkers(): Promise<number> {
    const devtools = await browser.newBrowserCDPSession();
    const { targetInfos } = await devtools.send('Target.getTargets');
    await devtools.detach();
    return targetInfos.filter(({ type }) => type === 'shared_worker').length;
  }

  async function connectedSessions(): Promise<number> {
    const metrics = await (await fetch(`${server.url.replace('ws:', 'http:')}/metrics`)).text();
    return Number(/^tandem_sessions\{state="connected"\} (\d+)/m.exec(metrics)![1]);
  }
});
