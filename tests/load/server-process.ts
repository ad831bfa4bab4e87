import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const COMMAND = join(dirname(createRequire(import.meta.url).resolve('@tandem/cloud')), '../bin/tandem-cloud.js');

/** What the server says of itself, and what the system says of its process. */
export interface Reading {
  connected: number;
  detached: number;
  sockets: number;
  hotBytes: number;
  rowBytes: number;
  budgetBytes: number;
  fileDescriptors: number;
  timers: number;
  heapBytes: number;
  residentBytes: number;
  evictions: number;
}

/** A `tandem-cloud` in a process of its own: what it holds is not mixed up with what its clients hold. */
export class ServerProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(bundle: string, ...flags: string[]): Promise<ServerProcess> {
    const args = [COMMAND, '--model', bundle, '--port', '0', '--threads', '1', '--log-level', 'silent', ...flags];
    // Small young generation, so that what is garbage is soon gone and the figures are of what is held.
    const child = spawn(process.execPath, ['--max-semi-space-size=2', ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    const [, url] = /at (ws:\S+),/.exec(line.toString()) ?? [];
    if (!url) throw new Error(`the server said ${line}`);
    return new ServerProcess(child, url);
  }

  async read(): Promise<Reading> {
    const answer = await fetch(`${this.url.replace('ws', 'http')}/metrics`);
    const lines = (await answer.text()).split('\n');
    const sum = (start: string) =>
      lines
        .filter((line) => line.startsWith(`${start} `) || line.startsWith(`${start}{`))
        .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0);
    return {
      connected: sum('tandem_sessions{state="connected"}'),
      detached: sum('tandem_sessions{state="detached"}'),
      sockets: sum('tandem_connections'),
      hotBytes: sum('tandem_context_bytes{state="hot"}'),
      rowBytes: sum('tandem_context_bytes{state="rows"}'),
      budgetBytes: sum('tandem_context_budget_bytes'),
      fileDescriptors: sum('process_open_fds'),
      timers: sum('nodejs_active_resources{type="Timeout"}'),
      heapBytes: sum('nodejs_heap_size_used_bytes') + sum('nodejs_external_memory_bytes'),
      residentBytes: this.#residentBytes(),
      evictions: sum('tandem_context_evictions_total'),
    };
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  #residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  }
}
