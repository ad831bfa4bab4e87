import { type PortTarget, portOf } from '../host/host-port.js';
import { ModelHost } from '../host/model-host.js';

/** Entry of the dedicated worker that runs a model and its sessions for a page (`@tandem/edge/host`). */
if (typeof Worker === 'undefined') {
  // The engine's is started from here. A page that hears this before anything else keeps the session itself.
  throw new Error('workers cannot start workers in this browser');
}
new ModelHost(portOf(globalThis as unknown as PortTarget).port);
