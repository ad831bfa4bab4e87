/** `npm run playground`: a server, a page that uses it, and the address to open. Ends with Ctrl+C. */
import { fileURLToPath } from 'node:url';
import { startServer } from '@tandem/cloud';
import { isTandemError } from '@tandem/edge';
import { cachedBundle } from '@tandem/model-kit';
import { parsePlaygroundOptions } from './options.js';
import { startSite } from './site.js';

const TALES = fileURLToPath(new URL('../../../models/tales', import.meta.url));

async function main(): Promise<void> {
  const { port } = parsePlaygroundOptions(process.argv);
  const bundle = await cachedBundle(TALES, {
    exits: [2, 4],
    cut: 4,
    formats: ['f16'],
    onMissing: () => process.stderr.write('Preparing the bundle (once)…\n'),
  });
  const server = await startServer({ model: bundle, port: 0, format: 'f16', logLevel: 'warn' });
  const site = await startSite({ port, bundle, cloudUrl: server.url, checkpoint: TALES });
  process.stdout.write(`Playground: ${site.url}\n`);
  const stop = async () => {
    await site.close();
    await server.close();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

main().catch((error) => {
  process.stderr.write(isTandemError(error) ? `${error.message}\n` : `${error?.stack ?? error}\n`);
  process.exitCode = 1;
});
