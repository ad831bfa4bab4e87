import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import sirv from 'sirv';

export interface SiteOptions {
  port: number;
  /** Folder of the bundle, served under `/model/`. */
  bundle: string;
  cloudUrl: string;
  /** Folder with `openings.txt`. */
  checkpoint: string;
}

export interface Site {
  url: string;
  close(): Promise<void>;
}

/** Everything comes from here but the connection to the server; nothing is evaluated but WebAssembly. */
const policy = (cloudUrl: string) =>
  [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${cloudUrl}`,
  ].join('; ');

/** Builds the page into a temporary folder and serves it. */
export async function startSite({ port, bundle, cloudUrl, checkpoint }: SiteOptions): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-playground-'));
  await buildPage(folder);
  const openings = (await readFile(join(checkpoint, 'openings.txt'), 'utf8')).trim().split('\n');
  await writeFile(join(folder, 'config.json'), JSON.stringify({ cloudUrl, openings }));
  const page = sirv(folder);
  const model = sirv(bundle);
  const server = createServer((request, response) => {
    response.setHeader('Content-Security-Policy', policy(cloudUrl));
    if (!request.url?.startsWith('/model/')) return page(request, response);
    request.url = request.url.slice('/model'.length);
    model(request, response);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

async function buildPage(folder: string): Promise<void> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  await cp(here('../static'), folder, { recursive: true });
  await build({
    entryPoints: {
      page: here('./page/page.js'),
      // The SDK looks for its workers under these names, next to the script that it is in.
      'wasm-worker': '@tandem/edge/worker',
      'webgpu-worker': '@tandem/edge/webgpu-worker',
    },
    outdir: folder,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    // The simulator's TCP proxy is for Node; the page does not use it, and what is left of it is nothing.
    external: ['node:*'],
    logLevel: 'error',
  });
  // The second one is for WebGPU; a page without it never asks for it.
  for (const runtime of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
    await copyFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${runtime}`)), join(folder, runtime));
  }
}
