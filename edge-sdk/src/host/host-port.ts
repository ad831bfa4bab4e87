import { type EnginePort, TandemError } from '@tandem/shared';

/**
 * An end of a channel, as platforms have them: Node's `Worker`, `MessagePort` and child process (forked with
 * `serialization: 'advanced'`), Electron's `UtilityProcess` and `MessagePortMain`, a page's `Worker` and `MessagePort`; and
 * what such a worker or process has inside.
 */
export interface PortTarget {
  postMessage?(message: unknown): void;
  send?(message: unknown): unknown;
}

/** The rest of it, one way or the other. */
interface Listening {
  on?(name: string, listener: (value: unknown) => void): unknown;
  addEventListener?(name: string, listener: (event: WebEvent) => void): void;
  start?(): void;
}

interface WebEvent {
  data?: unknown;
  message?: string;
  preventDefault?(): void;
}

export interface HostPort {
  port: EnginePort;
  /** Told what happened when the other end is gone, where a platform says so. */
  onLost(listener: (what: string) => void): void;
}

/** @throws TandemError INVALID_OPTION for what is no port */
export function portOf(target: PortTarget): HostPort {
  const listening = target as Listening;
  const isPort = typeof target.postMessage === 'function' || typeof target.send === 'function';
  if (!isPort || !(listening.on ?? listening.addEventListener)) {
    throw new TandemError('INVALID_OPTION', 'a worker, a message port or a child process is needed');
  }
  const post = (message: unknown) => {
    if (target.postMessage) target.postMessage(message);
    else target.send?.(message);
  };
  const on = (name: string, listener: (value: unknown) => void) => {
    if (listening.on) listening.on(name, listener);
    else listening.addEventListener?.(name, listener);
  };
  return {
    port: {
      post,
      listen(listener) {
        on('message', (value) => listener(isEvent(value) ? value.data : value));
        listening.start?.();
      },
    },
    onLost(listener) {
      on('error', (error) => listener(describe(error as WebEvent)));
      // Ports in Node and Electron say that they were closed, processes and workers that they ended.
      for (const name of listening.on ? ['exit', 'close'] : []) on(name, () => listener('it ended'));
    },
  };
}

/** Pages, and Electron's ports inside a process, give events; all others the value itself. */
function isEvent(value: unknown): value is { data: unknown } {
  return typeof value === 'object' && value !== null && 'data' in value && 'ports' in value;
}

function describe(error: WebEvent): string {
  error.preventDefault?.();
  return error.message || 'it did not start';
}
