import { parentPort } from 'node:worker_threads';
import { TandemError } from '@tandem/shared';
import { type PortTarget, portOf } from './host-port.js';
import { ModelHost } from './model-host.js';

/**
 * Entry of a Node process or thread that runs a model for an app (`@tandem/edge/host`): a worker thread, a child process,
 * or Electron's utility process.
 */
const electronPort = (process as { parentPort?: PortTarget }).parentPort;
const target: PortTarget | undefined = parentPort ?? electronPort ?? (process.send ? process : undefined);
if (!target) {
  throw new TandemError('INVALID_OPTION', 'this is the inside of a worker, a child process or a utility process');
}
new ModelHost(portOf(target).port);
