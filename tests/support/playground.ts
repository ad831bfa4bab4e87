import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** As a source file, or compiled into `dist`. */
const root = new URL(import.meta.url.includes('/tests/dist/') ? '../../../' : '../../', import.meta.url);
const COMMAND = fileURLToPath(new URL('examples/playground/dist/main.js', root));

/** `npm run playground`, without the build. */
export async function startPlayground(): Promise<{ url: string; close(): Promise<void> }> {
  const child = spawn(process.execPath, [COMMAND, '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  return {
    url: await addressOf(child),
    async close() {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function addressOf(child: ChildProcess): Promise<string> {
  let output = '';
  for await (const chunk of child.stdout!) {
    output += chunk;
    const found = /Playground: (\S+)/.exec(output);
    if (found) return found[1]!;
  }
  throw new Error(`the playground ended: ${output}`);
}
