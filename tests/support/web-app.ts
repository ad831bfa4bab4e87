import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import sirv from 'sirv';

/** What an app with strict rules sends: its own scripts, no `eval`, no styles or scripts in the page. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self' ws://127.0.0.1:* ws://localhost:*",
].join('; ');

/** Answers a request itself, or returns false. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface WebApp {
  url: string;
  /** Folder of the bundle; may be exchanged. */
  bundle: string;
  /** Content policy of whatever is asked for next. */
  policy: string;
  /** Asks before every file of the bundle; tests make it fail, stall or lie. */
  intercept: Intercept;
  /** Paths that were asked for, with their range if there was one. */
  requests: string[];
  close(): Promise<void>;
}

/** A page of tests/browser/pages with one script, bundled by esbuild as an app would do it. */
export async function startWebApp(page: string, bundle: string): Promise<WebApp> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-app-'));
  await buildPage(page, folder);
  return await serveWebApp(folder, bundle);
}

/** A folder that was built, and the bundle under `/model/`; no header isolates the page. `close` removes the folder. */
export async function serveWebApp(folder: string, bundle: string): Promise<WebApp> {
  const app = sirv(folder, { dev: true });
  const server = createServer((request, response) => {
    response.setHeader('Content-Security-Policy', self.policy);
    const path = new URL(request.url!, 'http://host').pathname;
    if (!path.startsWith('/model/')) return app(request, response);
    const { range } = request.headers;
    self.requests.push(path.slice('/model/'.length) + (range ? ` ${range}` : ''));
    if (self.intercept(request, response)) return;
    request.url = path.slice('/model'.length);
    sirv(self.bundle, { dev: true })(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: WebApp = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    bundle,
    policy: POLICY,
    intercept: () => false,
    requests: [],
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
  return self;
}

async function buildPage(page: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: {
      page: fileURLToPath(new URL(`../browser/pages/${page}`, import.meta.url)),
      'own-worker': fileURLToPath(new URL('../browser/pages/own-worker.ts', import.meta.url)),
      // By this name the SDK looks for it, next to the script that it is in.
      'host-worker': '@tandem/edge/host',
      'shared-worker': '@tandem/edge/shared-host',
      'wasm-worker': '@tandem/edge/worker',
      'webgpu-worker': '@tandem/edge/webgpu-worker',
    },
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'error',
  });
  for (const runtime of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
    await copyFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${runtime}`)), join(folder, runtime));
  }
  // Browsers ask for an icon, and complain in the console where there is none.
  await writeFile(join(folder, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  const head = '<title>Tandem</title><link rel="icon" href="icon.svg" />';
  const html = `<!doctype html><html lang="en">${head}<script type="module" src="page.js"></script></html>`;
  await writeFile(join(folder, 'index.html'), html);
}
