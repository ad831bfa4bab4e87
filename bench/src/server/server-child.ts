import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../bin/tandem-cloud.js', import.meta.resolve('@tandem/cloud')));

/** A server in a process of its own: what the readers cost must not show in its queues. */
export class ServerChild {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(bundle: string, format: string): Promise<ServerChild> {
    const flags = [
      '--model',
      bundle,
      '--format',
      format,
      '--port',
      '0',
      '--threads',
      '1',
      '--batch-sessions',
      '1',
      '--log-level',
      'silent',
    ];
    const child = spawn(process.execPath, [COMMAND, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout!, 'data')) as [Buffer];
    const [, url] = /at (ws:\S+),/.exec(line.toString()) ?? [];
    if (!url) throw new Error(`the server said ${line}`);
    return new ServerChild(child, url);
  }

  /** Context of all sessions, in bytes. */
  async contextBytes(): Promise<{ hot: number; rows: number }> {
    const answer = await fetch(`${this.url.replace(/^ws/, 'http')}/metrics`);
    const lines = (await answer.text()).split('\n');
    const value = (state: string) => {
      const sample = `tandem_context_bytes{state="${state}"} `;
      return Number(lines.find((line) => line.startsWith(sample))?.slice(sample.length));
    };
    return { hot: value('hot'), rows: value('rows') };
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
