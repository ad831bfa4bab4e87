import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type HubFault =
  /** So many bytes are sent; the connection is cut when `cut` is called. */
  | { kind: 'cut'; afterBytes: number }
  | { kind: 'status'; status: number }
  /** The whole file, whatever range was asked for. */
  | { kind: 'ignores-range' }
  /** Other bytes of the same number. */
  | { kind: 'wrong-bytes' };

export const HUB_COMMIT = 'a'.repeat(40);
export const HUB_TOKEN = 'hf_secret';

/** An HTTP server with the layout of a Hugging Face hub and one model, `org/tiny`. */
export interface HubServer {
  endpoint: string;
  /** Ranges that were asked for, by file; 'all' without one. */
  requests: { path: string; range: string; token: string | undefined }[];
  /** The next answers for a file, one fault each. */
  faults: Map<string, HubFault[]>;
  /** Only answers who brings `HUB_TOKEN`. */
  isPrivate: boolean;
  /** Replaces the listing. */
  listing: unknown;
  /** Cuts the connection whose answer is to be cut: called when some of it has arrived, or all of it might be lost. */
  cut(): void;
  close(): Promise<void>;
}

export async function startHub(files: ReadonlyMap<string, Buffer>): Promise<HubServer> {
  const hub: HubServer = {
    endpoint: '',
    requests: [],
    faults: new Map(),
    isPrivate: false,
    listing: [...files].map(([path, content]) => listed(path, content)),
    cut: () => {},
    close: async () => {},
  };
  const server = createServer((request, response) => answer(hub, files, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hub.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  hub.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return hub;
}

/** Large files carry a sha256, small ones git's sha1, as on a hub. */
function listed(path: string, content: Buffer): object {
  const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  const entry = { type: 'file', path, size: content.length, oid };
  if (!path.endsWith('.safetensors')) return entry;
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { ...entry, lfs: { oid: sha256, size: content.length, pointerSize: 130 } };
}

function answer(
  hub: HubServer,
  files: ReadonlyMap<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const url = new URL(request.url!, hub.endpoint);
  const json = (value: unknown, status = 200) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const token = request.headers.authorization?.replace('Bearer ', '');
  if (hub.isPrivate && token !== HUB_TOKEN) return json({ error: 'Invalid credentials' }, 401);
  const [, kind, revision] = /^\/api\/models\/org\/tiny\/(revision|tree)\/([^/]+)$/.exec(url.pathname) ?? [];
  const isKnown = revision === 'main' || revision === 'v1.0' || revision === HUB_COMMIT;
  if (kind === 'revision' && isKnown) return json({ _id: '1', id: 'org/tiny', sha: HUB_COMMIT });
  if (kind === 'tree' && isKnown) return json(hub.listing);
  const path = /^\/org\/tiny\/resolve\/a{40}\/(.+)$/.exec(url.pathname)?.[1];
  const content = path === undefined ? undefined : files.get(path);
  if (path === undefined || content === undefined) return json({ error: 'Repository not found' }, 404);
  hub.requests.push({ path, range: request.headers.range ?? 'all', token });
  sendFile(hub, content, request, response, hub.faults.get(path)?.shift());
}

function sendFile(
  hub: HubServer,
  content: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
  fault: HubFault | undefined,
): void {
  if (fault?.kind === 'status') {
    response.writeHead(fault.status).end();
    return;
  }
  const range = fault?.kind === 'ignores-range' ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const begin = Number(range ?? 0);
  if (range !== undefined && begin >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const body = fault?.kind === 'wrong-bytes' ? Buffer.alloc(content.length - begin, 7) : content.subarray(begin);
  response.writeHead(range === undefined ? 200 : 206, { 'content-length': body.length });
  if (fault?.kind !== 'cut') {
    response.end(body);
    return;
  }
  hub.cut = () => response.destroy();
  response.write(body.subarray(0, fault.afterBytes));
}
