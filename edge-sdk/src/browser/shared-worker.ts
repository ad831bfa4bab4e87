import { type PortTarget, portOf } from '../host/host-port.js';
import { ModelHost } from '../host/model-host.js';
import { SharedModels } from '../host/shared-models.js';
import { deviceHere } from './device-here.js';
import { SHARED_WORKER_LOCK } from './shared-lock.js';

/** Entry of the shared worker: a port per tab, one model for all of them (`@tandem/edge/shared-host`). */
interface SharedScope {
  addEventListener(type: 'connect', listener: (event: MessageEvent) => void): void;
  close(): void;
}

const scope = globalThis as unknown as SharedScope;
const models = new SharedModels({ worker: deviceHere });
let tabs = 0;

scope.addEventListener('connect', ({ ports: [port] }) => {
  tabs++;
  // The first message names the lock that the tab holds while it is there.
  const begin = ({ data }: MessageEvent) => {
    const host = new ModelHost(portOf(port as PortTarget).port, (source, options) => models.open(source, options));
    void navigator.locks.request(String(data), () => leave(host));
  };
  port!.addEventListener('message', begin, { once: true });
  port!.start();
});

/** The tab was closed, or needs its model no more. Only the end of this thread gives ONNX Runtime's memory back. */
async function leave(host: ModelHost): Promise<void> {
  await host.leave();
  if (--tabs > 0) return;
  // Tabs hold this one while they connect.
  await navigator.locks.request(SHARED_WORKER_LOCK, () => {
    if (tabs === 0) scope.close();
  });
}
