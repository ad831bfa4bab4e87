import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import sirv from 'sirv';

/** The bench page on the loopback, and folders of files under their names. */
export async function startBenchSite(
  folders: Readonly<Record<string, string>>,
): Promise<{ url: string; close(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  await build({
    entryPoints: {
      page: fileURLToPath(new URL('./bench-page.js', import.meta.url)),
      'host-worker': '@tandem/edge/host',
      'wasm-worker': '@tandem/edge/worker',
    },
    outdir: root,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'error',
  });
  const runtime = 'ort-wasm-simd-threaded.wasm';
  await copyFile(fileURLToPath(import.meta.resolve(`onnxruntime-web/${runtime}`)), join(root, runtime));
  await writeFile(
    join(root, 'index.html'),
    '<!doctype html><html lang="en"><title>bench</title><body></body><script type="module" src="page.js"></script></html>',
  );
  const page = sirv(root);
  const files = new Map(Object.entries(folders).map(([name, folder]) => [name, sirv(folder)]));
  const server = createServer((request, response) => {
    const [, name = '', ...rest] = request.url!.split('/');
    const folder = files.get(name);
    if (!folder) return page(request, response);
    request.url = `/${rest.join('/')}`;
    folder(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true });
    },
  };
}
