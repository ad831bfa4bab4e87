import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

/** The README, word for word: its commands and its example, with another folder and a free port. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = '.cache/readme-test';
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
let server: ChildProcess | undefined;

beforeAll(() => {
  rmSync(join(ROOT, FOLDER), { recursive: true, force: true });
  mkdirSync(join(ROOT, FOLDER), { recursive: true });
});
afterAll(() => {
  server?.kill();
  rmSync(join(ROOT, FOLDER), { recursive: true, force: true });
});

it('prepare, serve, and tell a story as the README says', async () => {
  const bundle = `${FOLDER}/tales`;
  const prepare = command('npx tandem prepare').replace('.cache/tales', bundle);
  const prepared = spawnSync(prepare, { cwd: ROOT, shell: true, encoding: 'utf8' });
  expect(prepared.status, prepared.stderr).toBe(0);

  const serve = command('npx tandem-cloud').replace('.cache/tales', bundle).replace('8787', '0').split(' ').slice(1);
  // The command itself and not npx, which would not pass the signal on.
  server = spawn(join(ROOT, 'node_modules/.bin', serve[0]!), serve.slice(1), { cwd: ROOT });
  const url = await firstMatch(server, /ws:\/\/\S+:\d+/);

  const [, example] = /```js\n([\s\S]*?)```/.exec(readme)!;
  const file = join(ROOT, FOLDER, 'example.mjs');
  writeFileSync(file, example!.replace('.cache/tales', bundle).replace('ws://localhost:8787', url));
  const told = spawnSync(process.execPath, [file], { cwd: ROOT, encoding: 'utf8', timeout: 60_000 });
  expect(told.stderr).toBe('');
  expect(told.stdout).toMatch(/\n\d+ tokens, \d+ round trips\n$/);
  expect(told.stdout.length).toBeGreaterThan(100);
});

function command(start: string): string {
  const line = readme.split('\n').find((text) => text.startsWith(start));
  if (!line) throw new Error(`the README has no line that starts with ${start}`);
  return line;
}

/** The first text of either stream that matches. */
function firstMatch(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk;
      const match = pattern.exec(output);
      if (match) resolve(match[0]);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on('exit', (code) => reject(new Error(`it exited with ${code}: ${output}`)));
  });
}
