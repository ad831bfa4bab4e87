import { isTandemError } from '@tandem/shared';
import { HELP, startFromArguments } from './command-line.js';

try {
  const proxy = await startFromArguments(process.argv.slice(2));
  if (proxy) {
    console.log(`ws://${proxy.host}:${proxy.port}`);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        console.log(JSON.stringify(proxy.stats));
        void proxy.close();
      });
    }
  } else console.log(HELP);
} catch (error) {
  console.error(isTandemError(error) ? error.message : error);
  process.exitCode = 1;
}
