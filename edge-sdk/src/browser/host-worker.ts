import { type PortTarget, portOf } from '../host/host-port.js';
import { ModelHost } from '../host/model-host.js';

/** Entry of the dedicated worker that runs a model and its sessions for a page (`@tandem/edge/host`). */
new ModelHost(portOf(globalThis as unknown as PortTarget).port);
