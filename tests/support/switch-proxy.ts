import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What a load balancer is to a device: one address, and whoever is alive behind it. */
export interface SwitchProxy {
  readonly port: number;
  /** New connections go there; the old ones stay where they are. */
  target: number;
  /** When connections came, in milliseconds of `performance.now()`. */
  readonly arrivalsMs: number[];
  close(): Promise<void>;
}

export async function startSwitchProxy(target: number): Promise<SwitchProxy> {
  const sockets = new Set<Socket>();
  const arrivalsMs: number[] = [];
  const server = createServer((client) => {
    arrivalsMs.push(performance.now());
    const remote = connect({ host: '127.0.0.1', port: proxy.target });
    for (const [own, other] of [
      [client, remote],
      [remote, client],
    ] as const) {
      sockets.add(own);
      own.setNoDelay(true);
      own.on('error', () => other.destroy());
      own.on('close', () => {
        sockets.delete(own);
        other.destroy();
      });
    }
    client.pipe(remote).pipe(client);
  });
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1_024 });
  await once(server, 'listening');
  const proxy: SwitchProxy = {
    port: (server.address() as AddressInfo).port,
    target,
    arrivalsMs,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return proxy;
}
