import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { expect, it } from 'vitest';

/**
 * What an app's page loads for the SDK, without the library of the tokenizer. The workers and the runtime are files of their own, and
 * so is what a page loads later, if ever: chat templates.
 */
const PAGE_BYTES_MAX = 50_000;

it('the client core is small, and nothing of Node or of the runtime is in it', async () => {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: "import { EdgeModel } from '@tandem/edge'; globalThis.use(EdgeModel);",
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
    },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['@huggingface/tokenizers', '@huggingface/jinja'],
    splitting: true,
    outdir: 'page',
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  const outputs = Object.entries(metafile.outputs);
  const pathOf = (source: string) => outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(source))![0];
  /** And what `EdgeModel.load` then asks for. */
  const loadedWith = (source: string) =>
    loadedAtOnce(metafile.outputs, pathOf(source), loadedAtOnce(metafile.outputs, pathOf('<stdin>')));
  const loaded = loadedWith('host/load-in-worker.js');
  expect(outputs.length, 'something comes later').toBeGreaterThan(loaded.length);
  const used = loaded
    .flatMap((path) => Object.entries(metafile.outputs[path]!.inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path);
  expect(used.filter((path) => /onnxruntime|node_modules\/ws\/|\/node\/|chat-template/.test(path))).toEqual([]);
  const weigh = (paths: readonly string[]) =>
    outputFiles
      .filter(({ path }) => paths.some((name) => path.endsWith(name)))
      .reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);
  const bytes = weigh(loaded);
  expect(bytes, 'gzip').toBeGreaterThan(PAGE_BYTES_MAX / 2);
  expect(bytes, 'gzip').toBeLessThanOrEqual(PAGE_BYTES_MAX);
  expect(loaded, 'the session loop is in the worker').not.toContain(pathOf('/local-model.js'));
  expect(weigh(loadedWith('/local-model.js')), 'gzip, with worker: false').toBeLessThanOrEqual(PAGE_BYTES_MAX);
});

/** `path` and what it imports, but not what it asks for later. */
function loadedAtOnce(outputs: Metafile['outputs'], path: string, known: string[] = []): string[] {
  if (known.includes(path) || !outputs[path]) return known;
  known.push(path);
  for (const { path: next, kind } of outputs[path].imports) {
    if (kind === 'import-statement') loadedAtOnce(outputs, next, known);
  }
  return known;
}
