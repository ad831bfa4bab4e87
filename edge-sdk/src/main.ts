import { isTandemError } from '@tandem/shared';
import { readCommandLine } from './command-line.js';
import { startEdgeEndpoint } from './endpoint/edge-endpoint.js';
import { EdgeModel } from './model.js';
import { parseOptions, sessionOptionsSchema } from './options.js';

const VERSION = '0.1.0';
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Entry of `npx tandem serve-edge`. One line on standard output once it serves; `CODE: message` on standard error when not. */
async function main(): Promise<void> {
  const { model: source, format, threads, session, endpoint } = readCommandLine(process.argv.slice(2), VERSION);
  // Told before the model is loaded, which takes a while.
  parseOptions(sessionOptionsSchema, 'serve-edge', session);
  const loadOptions = { ...(format ? { format } : {}), ...(threads === undefined ? {} : { threads }) };
  const model = await EdgeModel.load(source, loadOptions);
  const served = await startEdgeEndpoint(model, session, endpoint);
  const { name } = model.manifest;
  process.stdout.write(`tandem serve-edge ${VERSION} serves ${name} (${session.mode}) at ${served.url}\n`);
  const stop = async () => {
    // A second signal means now.
    for (const signal of SIGNALS) process.on(signal, () => process.exit(1));
    await served.close();
    await model.dispose();
    process.exit(0);
  };
  for (const signal of SIGNALS) process.once(signal, () => void stop().catch(fail));
}

function fail(error: unknown): never {
  // What a user can act on needs no stack; a bug of ours does.
  const text = isTandemError(error) ? error.message : error instanceof Error ? (error.stack ?? error.message) : error;
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

main().catch(fail);
