import { type Engine, serveEngine } from '@tandem/shared';
import { loadChainEngine } from '@tandem/shared/node';
import type { EngineProcessOptions } from './child-process-engine.js';
import { DeviceEngine } from './device-engine.js';

/**
 * Entry of the engine process: loads the stages behind the cut, then answers steps, one at a time. The device's stages
 * are loaded by the first session that sends token ids.
 */
const { directory, format, device, threads, batchSlots } = JSON.parse(process.argv[2] ?? '{}') as EngineProcessOptions;

/** The exit code by which the log tells a lost GPU from other ends; EX_OSERR of sysexits.h. */
const LOST_DEVICE = 71;

// The server decides when to end: Ctrl-C reaches the whole process group, and steps under way are to be finished.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// Without a server there is nobody to work for. Also how the server ends it.
process.on('disconnect', () => process.exit(0));

void serveEngine(
  {
    // The callback takes the error of a parent that is gone; `disconnect` ends this process then.
    post: (message) => void process.send?.(message, undefined, undefined, () => {}),
    listen: (listener) => void process.on('message', listener),
  },
  async (): Promise<Engine> => {
    const engine = await loadChainEngine({ directory, format, device, threads, batchSlots, preload: 'cloud-stages' });
    return engine.info.device === 'cpu' ? engine : new DeviceEngine(engine, () => process.exit(LOST_DEVICE));
  },
);
