import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@tandem/shared';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { type EdgePage, openEdgePage, openIn } from '../support/edge-page.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { talesBundle } from '../support/tales.js';
import { startWebApp, type WebApp } from '../support/web-app.js';

/** How a model gets onto a device and stays there. Each test is a new visitor with an empty storage. */
describe.skipIf(!CHROMIUM)(inChromium('model delivery in Chromium'), () => {
  let browser: Browser;
  let app: WebApp;
  let bundle: string;
  let other: SmallBundle;
  let manifest: Manifest;
  let page: EdgePage;

  beforeAll(async () => {
    bundle = await talesBundle(['f16']);
    manifest = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8'));
    other = await makeSmallBundle();
    browser = await launchChromium();
    app = await startWebApp('edge-page.ts', bundle);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close();
    await other?.remove();
  });
  beforeEach(async () => {
    page = await openEdgePage(browser, app.url);
    app.requests.length = 0;
    app.intercept = () => false;
  });
  afterEach(() => page.context.close());

  const stage = () => manifest.stages[0]!.files.f16!;
  const deviceBytes = () =>
    [...manifest.tokenizer, ...manifest.stages.slice(0, 2).map(({ files }) => files.f16!)].reduce(
      (sum, { bytes }) => sum + bytes,
      0,
    );
  /** The server breaks the connection in the middle of the first stage, so many times. */
  const breakOff = (times: number) => {
    app.intercept = (request, response) => {
      if (!request.url!.endsWith(stage().file) || times-- <= 0) return false;
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const end = Math.min(stage().bytes - 1, start + 2_500_000);
      response.writeHead(start > 0 ? 206 : 200, { 'content-length': stage().bytes - start });
      createReadStream(join(bundle, stage().file), { start, end: end - 1 })
        // Not at once: what lies unsent or unread when a connection breaks is gone, and this is about what has arrived.
        .on('end', () => setTimeout(() => response.destroy(), 300))
        .pipe(response, { end: false });
      return true;
    };
  };

  describe.each(['opfs', 'cache'] as const)('stored in %s', (storage) => {
    it('is downloadable, then available, starts offline and asks for nothing again', async () => {
      expect(await page.act('availability', 'model')).toBe('downloadable');
      const progress = await page.act('download', 'model', { storage });
      expect(progress.at(-1)).toMatchObject({ loadedBytes: deviceBytes(), totalBytes: deviceBytes() });
      expect(app.requests.filter((path) => path !== 'manifest.json')).toHaveLength(manifest.tokenizer.length + 2);
      app.requests.length = 0;
      app.intercept = (_request, response) => !!response.destroy();
      expect((await page.act('load', 'model', { storage })).backend).toContain('wasm');
      expect(app.requests.every((path) => path === 'manifest.json')).toBe(true);
    });

    it('goes on where it broke off, and fetches no piece twice', async () => {
      breakOff(2);
      await page.act('download', 'model', { storage });
      const asked = app.requests.filter((path) => path.startsWith(stage().file));
      const starts = asked.map((path) => Number(/bytes=(\d+)-/.exec(path)?.[1] ?? 0));
      // What was under way when the connection broke is lost; what had become a piece is not.
      expect(starts).toHaveLength(3);
      expect(starts[0]).toBe(0);
      expect(starts[1]).toBeGreaterThanOrEqual(1_048_576);
      expect(starts[2]).toBeGreaterThan(starts[1]! + 1_048_576);
    });
  });

  it('keeps what came before an abort', async () => {
    app.intercept = (request, response) => {
      if (!request.url!.endsWith(stage().file)) return false;
      response.writeHead(200, { 'content-length': stage().bytes });
      // And then nothing more.
      createReadStream(join(bundle, stage().file), { start: 0, end: 2_097_151 }).pipe(response, { end: false });
      return true;
    };
    await expect(page.act('downloadUntil', 'model', 2_000_000)).rejects.toMatchObject({ code: 'ABORTED' });
    app.intercept = () => false;
    app.requests.length = 0;
    await page.act('download', 'model');
    expect(app.requests.some((path) => / bytes=(1048576|2097152)-/.test(path))).toBe(true);
  });

  it('hears of an abort that comes while the worker starts', async () => {
    await expect(page.act('loadAndAbort', 'model')).rejects.toMatchObject({ code: 'ABORTED' });
    expect(page.page.workers()).toEqual([]);
  });

  it('starts over with a server that does not know ranges', async () => {
    breakOff(1);
    const breaking = app.intercept;
    app.intercept = (request, response) => {
      if (breaking(request, response)) return true;
      delete request.headers.range;
      return false;
    };
    await page.act('download', 'model');
    expect(await page.act('availability', 'model')).toBe('available');
  });

  it.each(['opfs', 'cache'] as const)('fetches a file in %s that has changed once more', async (storage) => {
    await page.act('download', 'model', { storage });
    await (storage === 'opfs' ? spoilFile : spoilPiece)(stage().sha256);
    app.requests.length = 0;
    await page.act('load', 'model', { storage });
    expect(app.requests.filter((path) => path.endsWith('.onnx'))).toEqual([stage().file]);
  });

  const spoilFile = (name: string) =>
    page.page.evaluate(async (file) => {
      const root = await navigator.storage.getDirectory();
      const handle = await (await root.getDirectoryHandle('tandem')).getFileHandle(file);
      const writer = await handle.createWritable({ keepExistingData: true });
      await writer.write({ type: 'write', position: 1000, data: new Uint8Array(8) });
      await writer.close();
    }, name);
  const spoilPiece = (name: string) =>
    page.page.evaluate(async (file) => {
      const cache = await caches.open('tandem');
      const url = `/tandem/${file}/0`;
      const response = (await cache.match(url))!;
      const bytes = new Uint8Array(await response.arrayBuffer());
      bytes.fill(0, 1000, 1008);
      await cache.put(url, new Response(bytes, { headers: response.headers }));
    }, name);

  it('refuses a file that is not the one of the manifest, and keeps nothing of it', async () => {
    app.intercept = (request, response) => {
      if (!request.url!.endsWith(stage().file)) return false;
      response.end(Buffer.alloc(stage().bytes));
      return true;
    };
    await expect(page.act('download', 'model')).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
    app.intercept = () => false;
    await page.act('download', 'model');
    expect(await page.act('availability', 'model')).toBe('available');
  });

  it('says what is missing: no bundle, a page instead of a manifest, a server that fails', async () => {
    await expect(page.act('load', 'nothing')).rejects.toMatchObject({ code: 'BUNDLE_NOT_FOUND' });
    expect(await page.act('availability', 'nothing')).toBe('unavailable');
    app.intercept = (_request, response) => !!response.end('<!doctype html>');
    await expect(page.act('load', 'model')).rejects.toMatchObject({ code: 'BUNDLE_CORRUPT' });
    app.intercept = (_request, response) => !!response.writeHead(503).end();
    await expect(page.act('load', 'model')).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });

  it('a full storage is STORAGE_FULL, and memory still works', async () => {
    const devtools = await page.context.newCDPSession(page.page);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: new URL(app.url).origin, quotaSize: 1_000_000 });
    await expect(page.act('download', 'model')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await page.act('download', 'model', { storage: 'memory' });
  });

  it('another version of the bundle takes the place of the old one', async () => {
    await page.act('download', 'model');
    app.bundle = other.directory;
    try {
      expect(await page.act('availability', 'model')).toBe('downloadable');
      await page.act('download', 'model');
      const names = await page.page.evaluate(async () => {
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('tandem');
        const found: string[] = [];
        for await (const name of folder.keys()) found.push(name);
        return found;
      });
      expect(names).not.toContain(stage().sha256);
      // Manifest, tokenizer, two stages.
      expect(names).toHaveLength(4);
    } finally {
      app.bundle = bundle;
    }
  });

  it('two tabs at once fetch every file once', async () => {
    const tab = await openIn(page.context, app.url);
    await Promise.all([page.act('download', 'model'), tab.act('download', 'model')]);
    const files = app.requests.filter((path) => path !== 'manifest.json');
    expect(new Set(files).size).toBe(files.length);
    expect(await tab.act('availability', 'model')).toBe('available');
  });
});
