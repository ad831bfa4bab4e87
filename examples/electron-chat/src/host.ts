/** The utility process: the SDK as in any Node process, and a port to the page. Arguments: the model's folder, the server. */
import { EdgeModel, type LoadProgress, type Session } from '@tandem/edge';
import { serveChat } from './chat-host.js';
import type { MainPort, ParentPort } from './electron-parts.js';
import { type HostMessage, portError } from './port-messages.js';

const { parentPort } = process as unknown as { parentPort: ParentPort };
const [directory = 'model', cloudUrl = 'ws://localhost:8787'] = process.argv.slice(2);
let progress: LoadProgress | undefined;
/** Pages by their ports; a session once the model is there. */
const ports = new Map<MainPort, Session | undefined>();
const tell = (message: HostMessage) => {
  for (const port of ports.keys()) port.postMessage(message);
};

const loading = EdgeModel.load(directory, {
  onProgress: (step) => {
    progress = step;
    tell({ kind: 'progress', progress: step });
  },
});

parentPort.on('message', ({ data, ports: [port] }) => {
  if (data === 'resumed') for (const session of ports.values()) session?.reconnect();
  if (!port) return;
  ports.set(port, undefined);
  port.on('close', () => ports.delete(port));
  if (progress) port.postMessage({ kind: 'progress', progress } satisfies HostMessage);
  loading.then(
    async (model) => ports.set(port, await serveChat(port, model, cloudUrl)),
    (error) => port.postMessage({ kind: 'failed', error: portError(error) } satisfies HostMessage),
  );
});
