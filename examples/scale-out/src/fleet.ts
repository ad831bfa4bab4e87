import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { TandemError } from '@tandem/shared';

const COMMAND = fileURLToPath(new URL('../bin/tandem-cloud.js', import.meta.resolve('@tandem/cloud')));
const CONFIG = fileURLToPath(new URL('../haproxy.cfg', import.meta.url));

/** HAProxy's health checks come every half second. */
const SETTLE_MS = 1_200;

export interface FleetOptions {
  bundle: string;
  format: string;
  /** How HAProxy chooses: by the path, or without looking at it. */
  balance: 'uri' | 'roundrobin';
}

/** Why the example cannot run here; undefined if it can. */
export function missingHaproxy(): string | undefined {
  const { error } = spawnSync('haproxy', ['-v'], { stdio: 'ignore' });
  return error && 'no haproxy here; install it with: apt-get install haproxy';
}

/** Three servers and the HAProxy in front of them, each a process of its own. */
export class Fleet {
  readonly ports: readonly number[];
  readonly url: string;
  readonly #options: FleetOptions;
  readonly #servers: ChildProcess[] = [];
  #haproxy: ChildProcess | undefined;

  private constructor(options: FleetOptions, ports: readonly number[], front: number) {
    this.#options = options;
    this.ports = ports;
    this.url = `ws://127.0.0.1:${front}`;
  }

  static async start(options: FleetOptions): Promise<Fleet> {
    const [front, ...ports] = await freePorts(4);
    const fleet = new Fleet(options, ports, front!);
    await Promise.all(ports.map((_, index) => fleet.startServer(index)));
    const [one, two, three] = ports.map(String);
    const variables = { TANDEM_FRONT: `${front}`, TANDEM_ONE: one, TANDEM_TWO: two, TANDEM_THREE: three };
    const environment = { ...process.env, ...variables, TANDEM_BALANCE: options.balance };
    fleet.#haproxy = spawn('haproxy', ['-db', '-q', '-f', CONFIG], { env: environment, stdio: 'inherit' });
    const ended = once(fleet.#haproxy, 'exit').then(() => 'ended' as const);
    if ((await Promise.race([fleet.settle(), ended])) !== 'ended') return fleet;
    await fleet.close();
    throw new TandemError('INVALID_OPTION', 'haproxy did not start; what it said stands above');
  }

  /** Starts server `index` at its port, and waits until it serves. */
  async startServer(index: number): Promise<void> {
    const { bundle, format } = this.#options;
    const flags = ['--model', bundle, '--format', format, '--port', `${this.ports[index]}`];
    const child = spawn(process.execPath, [COMMAND, ...flags, '--threads', '1', '--log-level', 'error'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#servers[index] = child;
    const ended = once(child, 'exit').then(() => 'ended' as const);
    if ((await Promise.race([once(child.stdout!, 'data'), ended])) !== 'ended') return;
    throw new TandemError('INVALID_OPTION', `the server at port ${this.ports[index]} did not start`);
  }

  /** `SIGKILL`: gone at once. `SIGTERM`: it drains. Resolves when it has ended. */
  async stopServer(index: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#servers[index]!;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Until HAProxy has seen who is there. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }

  /** Connected sessions of each server. */
  sessions(): Promise<number[]> {
    const one = async (port: number) => {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      return Number(/^tandem_sessions\{state="connected"\} (\d+)$/m.exec(await answer.text())?.[1] ?? 0);
    };
    return Promise.all(this.ports.map(one));
  }

  async close(): Promise<void> {
    const running = [this.#haproxy, ...this.#servers].filter((child) => child && child.exitCode === null);
    const ended = running.map((child) => once(child!, 'exit'));
    for (const child of running) child!.kill('SIGTERM');
    await Promise.all(ended);
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
