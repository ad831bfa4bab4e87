import { copyFile, cp, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as esbuild } from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import webpack from 'webpack';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { makeProject } from '../support/fresh-project.js';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';
import { makeSmallBundle, type SmallBundle } from '../support/small-bundle.js';
import { serveWebApp } from '../support/web-app.js';

/** Builds the project in `folder` into `folder/dist`, with as little configuration as the bundler needs. */
const BUNDLERS: Record<string, (folder: string) => Promise<void>> = {
  async vite(folder) {
    // Vite is a dependency of the examples, not of the tests.
    const require = createRequire(new URL('../../examples/browser-chat/package.json', import.meta.url));
    const { build } = (await import(require.resolve('vite'))) as {
      build(options: Record<string, unknown>): Promise<unknown>;
    };
    await build({ root: folder, configFile: false, logLevel: 'error', worker: { format: 'es' } });
  },

  async webpack(folder) {
    const compiler = webpack({
      mode: 'production',
      context: folder,
      entry: './main.js',
      output: { path: join(folder, 'dist') },
      performance: { hints: false },
      // It would take most of a minute.
      optimization: { minimize: false },
    });
    const stats = await new Promise<webpack.Stats>((resolve, reject) => {
      compiler.run((error, result) => (result ? resolve(result) : reject(error)));
    });
    expect(stats.toJson({ all: false, errors: true, warnings: true })).toMatchObject({ errors: [], warnings: [] });
    await copyFile(join(folder, 'index.html'), join(folder, 'dist/index.html'));
  },

  async esbuild(folder) {
    await esbuild({
      absWorkingDir: folder,
      entryPoints: {
        main: './main.js',
        'host-worker': '@tandem/edge/host',
        'shared-worker': '@tandem/edge/shared-host',
        'wasm-worker': '@tandem/edge/worker',
        'webgpu-worker': '@tandem/edge/webgpu-worker',
      },
      bundle: true,
      splitting: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      outdir: 'dist',
      logLevel: 'error',
    });
    for (const runtime of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
      await copyFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${runtime}`)), join(folder, 'dist', runtime));
    }
    await copyFile(join(folder, 'index.html'), join(folder, 'dist/index.html'));
  },
};

/** A fresh project of the packed packages, built and opened under a strict policy. */
describe.skipIf(!CHROMIUM)(inChromium('an app built with'), () => {
  let browser: Browser;
  let bundle: SmallBundle;
  const told = new Set<string>();
  beforeAll(async () => {
    [browser, bundle] = await Promise.all([launchChromium(), makeSmallBundle()]);
  });
  afterAll(async () => {
    await browser?.close();
    await bundle?.remove();
  });

  it.each(Object.keys(BUNDLERS))('%s', async (name) => {
    const folder = await temporaryFolder(`app-${name}`);
    await makeProject(folder, "{ worker: new URLSearchParams(location.search).get('worker') ?? undefined }");
    await BUNDLERS[name]!(folder);
    const dist = await temporaryFolder(`dist-${name}`);
    await mkdir(dist, { recursive: true });
    await cp(join(folder, 'dist'), dist, { recursive: true });
    const app = await serveWebApp(dist, bundle.directory);
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (line) => complaints.push(line.text()));
    const missing: string[] = [];
    page.on('response', (response) => {
      if (!response.ok()) missing.push(new URL(response.url()).pathname);
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    for (const address of [app.url, `${app.url}?worker=shared`]) {
      await page.goto(address);
      const html = page.locator('html[data-told], html[data-failed]');
      await html.waitFor({ state: 'attached' });
      expect(await html.getAttribute('data-failed')).toBeNull();
      told.add((await html.getAttribute('data-told'))!);
      // Each found its scripts.
      expect(await html.getAttribute('data-backend')).toMatch(
        /^onnxruntime-web wasm(?!.*not in a worker)(?!.*not shared)/,
      );
    }
    // Browsers ask for an icon, which this app has not.
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
    expect(missing.filter((path) => path !== '/favicon.ico')).toEqual([]);
    await page.close();
    await app.close();
    await removeFolder(folder);
  });

  it('the same story each time', () => {
    expect([...told]).toEqual([expect.stringMatching(/^\d+( \d+){4}$/)]);
  });
});
