import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { NodeDevice } from '@tandem/shared/node';
import type { EngineProcess } from './engine-supervisor.js';

/** What an engine process is to load; handed over as its one argument. */
export interface EngineProcessOptions {
  /** Folder of the bundle. */
  directory: string;
  format: string;
  device?: NodeDevice;
  /** Threads of one step; undefined: one per physical core. */
  threads?: number;
  /** Sessions whose steps it can run as one. */
  batchSlots?: number;
}

const ENTRY = fileURLToPath(new URL('./engine-process.js', import.meta.url));

/** Starts an engine in a child process: what aborts in native code there does not end the server. */
export function forkEngine(options: EngineProcessOptions): EngineProcess {
  const child = fork(ENTRY, [JSON.stringify(options)], {
    // Structured clone: rows cross as bytes, not as JSON.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
    env: withoutOwnSettings(process.env),
  });
  let exited = false;
  const listeners: ((how: string) => void)[] = [];
  const exit = (how: string) => {
    if (exited) return;
    exited = true;
    for (const listener of listeners) listener(how);
  };
  child.on('error', (error) => {
    // Also told when a message cannot be sent; then the end follows by itself.
    if (child.pid === undefined) exit(`could not be started: ${error.message}`);
  });
  child.on('exit', (code, signal) => exit(signal ? `was ended by ${signal}` : `exited with code ${code}`));
  return {
    pid: child.pid ?? 0,
    port: {
      post(message) {
        if (child.connected) child.send(message as object, () => {});
      },
      listen: (listener) => void child.on('message', listener),
    },
    onExit: (listener) => void listeners.push(listener),
    release: () => void (child.connected && child.disconnect()),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** Credentials of the server are nothing to the engine. */
function withoutOwnSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('TANDEM_')));
}
