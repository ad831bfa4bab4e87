import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The packages that people install, by their folders. */
export const PUBLISHED = ['shared', 'edge-sdk', 'cloud-server', 'model-kit', 'tests/netsim'] as const;

/** The tarballs of these packages, as a registry would get them, in `target`; in the order of the folders. */
export async function packTarballs(folders: readonly string[], target: string): Promise<string[]> {
  const workspaces = folders.map((folder) => `--workspace=./${folder}`);
  // Built already; the scripts would build once more for every package.
  const options = ['pack', '--json', '--ignore-scripts', `--pack-destination=${target}`];
  const { stdout } = await run('npm', [...options, ...workspaces], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  const packed = JSON.parse(stdout) as { filename: string }[];
  return packed.map(({ filename }) => join(target, filename));
}

export async function unpack(tarball: string, target: string): Promise<void> {
  await run('tar', ['--extract', '--file', tarball, '--directory', target, '--strip-components=1']);
}
