import { parentPort, workerData } from 'node:worker_threads';
import { assert, serveEngine } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import type { DeviceEngineOptions } from './worker-engine.js';

/** Entry of the worker thread: loads the device stages, then answers steps. */
const port = parentPort;
assert(port, 'this file is the entry of a worker thread');
const { directory, format, device, threads } = workerData as DeviceEngineOptions;

void serveEngine(
  {
    post: (message) => port.postMessage(message),
    listen: (listener) => port.on('message', listener),
  },
  () => loadChainEngine({ directory, format, device, threads, preload: 'device-stages' }),
);
