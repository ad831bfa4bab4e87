import { readFile } from 'node:fs/promises';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PUBLISHED, packTarballs } from '../support/packed.js';
import { removeFolder, temporaryFolder } from '../support/random-checkpoint.js';

/** The packages are ESM alone: what reads CommonJS or has never heard of `exports` is not asked. */
const OTHER_WORLDS = ['node10', 'node16-cjs'];
/** Scripts that one package starts in another: there is nothing to import. */
const SCRIPTS = ['./command'];

describe('packages as they would be published', () => {
  let folder: string;
  let tarballs: string[];
  beforeAll(async () => {
    folder = await temporaryFolder('packed');
    tarballs = await packTarballs(PUBLISHED, folder);
  });
  afterAll(() => removeFolder(folder));

  it.each(PUBLISHED)('publint finds nothing in %s', async (path) => {
    const content = await readFile(tarballs[PUBLISHED.indexOf(path)]!);
    const tarball = content.buffer.slice(content.byteOffset, content.byteOffset + content.length) as ArrayBuffer;
    const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it.each(PUBLISHED)('the types of %s are right', async (path) => {
    const tarball = tarballs[PUBLISHED.indexOf(path)]!;
    const result = await checkPackage(createPackageFromTarballData(await readFile(tarball)), {
      excludeEntrypoints: SCRIPTS,
    });
    const problems = result.types ? result.problems : [];
    const wrong = problems.filter(
      (problem) => !('resolutionKind' in problem && OTHER_WORLDS.includes(problem.resolutionKind)),
    );
    expect(wrong).toEqual([]);
  });

  it('an app gets no sources, tests or weights', async () => {
    const files = createPackageFromTarballData(await readFile(tarballs[1]!)).listFiles();
    expect(files.filter((file) => /\/src\/|\.test\.|\.onnx$|\.wasm$/.test(file))).toEqual([]);
    expect(files.some((file) => file.endsWith('/dist/browser/webgpu-worker.js'))).toBe(true);
  });
});
