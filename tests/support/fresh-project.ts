import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packTarballs, unpack } from './packed.js';

/** What an app writes: it tells a story in the page and says how it went. `options`: of `EdgeModel.load`. */
const main = (options: string) => `
import { EdgeModel } from '@tandem/edge';

const say = (name, value) => document.documentElement.setAttribute(name, value);
try {
  const model = await EdgeModel.load('model', ${options});
  const session = await model.createSession({ mode: 'device-only' });
  const { tokens } = await session.generate('w3 w14 w15', { maxOutputTokens: 5, seed: 2, temperature: 0.8 });
  await model.dispose();
  say('data-backend', model.backend);
  say('data-told', tokens.map(({ id }) => id).join(' '));
} catch (error) {
  say('data-failed', String(error));
}
`;

/**
 * An app's folder as it is after `npm install @tandem/edge onnxruntime-web`: our packages from their tarballs, all others
 * as they are installed here. One script, `main.js`.
 */
export async function makeProject(folder: string, options = '{}'): Promise<void> {
  const scope = join(folder, 'node_modules/@tandem');
  const [shared, edge] = await packTarballs(['shared', 'edge-sdk'], folder);
  const packages = [
    ['shared', shared!],
    ['edge', edge!],
  ] as const;
  for (const [name, tarball] of packages) {
    await mkdir(join(scope, name), { recursive: true });
    await unpack(tarball, join(scope, name));
    await linkDependencies(join(scope, name), folder);
  }
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  await writeFile(join(folder, 'main.js'), main(options));
  const html = '<!doctype html><html lang="en"><title>app</title>';
  await writeFile(join(folder, 'index.html'), `${html}<script type="module" src="./main.js"></script></html>`);
}

async function linkDependencies(packed: string, folder: string): Promise<void> {
  const { dependencies, peerDependencies } = JSON.parse(await readFile(join(packed, 'package.json'), 'utf8'));
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    if (name.startsWith('@tandem/')) continue;
    const place = join(folder, 'node_modules', name);
    await mkdir(dirname(place), { recursive: true });
    await symlink(installed(name), place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

function installed(name: string): string {
  return fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url));
}
