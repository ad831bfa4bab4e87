import { type CloudServer, startServer } from '@tandem/cloud';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium, WEBGPU_ARGUMENTS } from '../support/chromium.js';
import { type EdgePage, openEdgePage } from '../support/edge-page.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** The device's stages on WebGPU, on a driver in software; and what becomes of a story when the GPU is lost in its middle. */
describe.skipIf(!CHROMIUM)(inChromium('WebGPU in Chromium'), () => {
  let browser: Browser;
  let bundle: SmallBundle;
  let app: WebApp;
  let server: CloudServer;
  let page: EdgePage;

  beforeAll(async () => {
    bundle = await makeSmallBundle();
    browser = await launchChromium(WEBGPU_ARGUMENTS);
    app = await startWebApp('edge-page.ts', bundle.directory);
    server = await startServer({ model: bundle.directory, port: 0, logLevel: 'silent', threads: 1 });
    page = await openEdgePage(browser, app.url);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await app?.close();
    await bundle?.remove();
  });

  const story = (maxOutputTokens: number) => ({
    cloudUrl: server.url,
    opening: 'w3 w14 w15 w9 w26',
    temperature: 0.8,
    seed: 3,
    maxOutputTokens,
  });

  it('auto takes no GPU for a small model, nor a driver in software, and says so', async () => {
    const { backend } = await page.act('load', 'model');
    expect(backend).toBe('onnxruntime-web wasm, f32 (webgpu: a model this small is quicker without)');
    const software = 'the adapter google swiftshader is a driver in software';
    expect(await page.act('gpuObstacle', 'auto', 2 ** 30)).toBe(software);
    expect(await page.act('gpuObstacle', 'webgpu', 2 ** 30)).toBeUndefined();
  });

  it('what asks for a GPU where there is none gets WebAssembly, and the reason', async () => {
    const plain = await launchChromium();
    const other = await openEdgePage(plain, app.url);
    const { backend } = await other.act('load', 'model', { device: 'webgpu' });
    expect(backend).toMatch(
      /^onnxruntime-web wasm, f32 \(webgpu: ENGINE_UNAVAILABLE: (no adapter|this browser has none.*)\)$/,
    );
    await plain.close();
  });

  it('rows have the same bits in any grouping, and after rows that were taken back', async () => {
    await page.act('openEngine', 'model', 'webgpu', 'f32');
    const tokens = Array.from({ length: 24 }, (_, i) => (7 * i) % 61);
    const together = await page.act('rows', 0, tokens);
    const bytesPerRow = together.length / tokens.length;
    const apart = [...(await page.act('rows', 0, tokens.slice(0, 5)))];
    await page.act('rows', 5, [1, 2, 3]);
    for (const [begin, end] of [
      [5, 6],
      [6, 22],
      [22, 24],
    ] as const) {
      apart.push(...(await page.act('rows', begin, tokens.slice(begin, end))));
    }
    expect(apart).toEqual(together);
    expect(bytesPerRow).toBe(4 * 72);
  });

  it('tells the story that WebAssembly tells, and goes on there when the GPU is lost', async () => {
    const wasm = await page.act('tell', story(24));
    await page.act('dispose');
    expect((await page.act('load', 'model', { device: 'webgpu' })).backend).toBe('onnxruntime-web webgpu, f32');
    expect((await page.act('tell', story(8))).tokens).toEqual(wasm.tokens.slice(0, 8));

    const telling = page.act('tell', story(24));
    await page.page.waitForFunction(() => (globalThis as unknown as { told: number }).told > 3);
    const devtools = await browser.newBrowserCDPSession();
    await devtools.send('Browser.crashGpuProcess').catch(() => {});
    expect((await telling).tokens).toEqual(wasm.tokens);
    expect(await page.act('backend')).toMatch(/^onnxruntime-web wasm, f32 \(webgpu: the GPU was lost: .+\)$/);
  });
});
