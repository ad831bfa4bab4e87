import { isTandemError } from '@tandem/shared';
import { readCommandLine } from './command-line.js';
import type { ParsedServerOptions } from './options.js';
import { startServer, VERSION } from './server.js';

/** Entry of `npx tandem-cloud`. One line on standard output once it serves; `CODE: message` on standard error when not. */
async function main(): Promise<void> {
  const commandLine = readCommandLine(process.argv.slice(2), process.env, VERSION);
  if (commandLine.kind === 'print') process.stdout.write(commandLine.text);
  else await serve(commandLine.options);
}

async function serve(options: ParsedServerOptions): Promise<void> {
  const server = await startServer(options);
  const line = `tandem-cloud ${VERSION} serves ${server.model} (${server.format}) at ${server.url}, process ${process.pid}`;
  process.stdout.write(`${line}\n`);
  const stop = () => {
    // A second signal means now.
    for (const signal of SIGNALS) process.on(signal, () => process.exit(1));
    server.close().then(() => process.exit(0), fail);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

function fail(error: unknown): never {
  // What a user can act on needs no stack; a bug of ours does.
  const text = isTandemError(error) ? error.message : error instanceof Error ? (error.stack ?? error.message) : error;
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

main().catch(fail);
