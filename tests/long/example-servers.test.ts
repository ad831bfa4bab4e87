import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { start } from '../support/cloud-command.js';
import { talesBundle } from '../support/tales.js';

/** What the script `server` of an example says behind `tandem-cloud`, with its own folder and port replaced. */
function serverArguments(example: string): string[] {
  const url = new URL(`../../examples/${example}/package.json`, import.meta.url);
  const { scripts } = JSON.parse(readFileSync(url, 'utf8')) as { scripts: { server: string } };
  const [, rest] = scripts.server.split('tandem-cloud --model ');
  return rest!.trim().split(/\s+/).slice(1);
}

it.each([[['node-chat', 'electron-chat']], [['browser-chat', 'react-chat']], [['mobile']]])(
  'the server of %j starts as their READMEs say',
  async ([example, ...like]) => {
    const own = serverArguments(example!);
    for (const other of like) expect(serverArguments(other)).toEqual(own);
    const bundle = await talesBundle([own.includes('f16') ? 'f16' : 'q8']);
    const run = start(['--model', bundle, ...own, '--port', '0']);
    await expect.poll(() => run.out + run.err, { timeout: 30_000 }).toMatch(/serves tales|INVALID_OPTION/);
    expect(run.out).toContain('serves tales');
    run.child.kill('SIGTERM');
    await run.ended;
  },
);
