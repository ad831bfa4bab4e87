import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type CloudServer, startServer } from '@tandem/cloud';
import { presets, startProxy } from '@tandem/netsim';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { talesBundle } from '../support/tales.js';

const COMMAND = fileURLToPath(new URL('../../examples/node-chat/dist/main.js', import.meta.url));
const PROMPT = '› ';
const GREEN = '\u001b[32m';
const MAGENTA = '\u001b[35m';
const YELLOW = '\u001b[33m';

/** The terminal of examples/node-chat: what is typed, and what it answers until it waits for the next line. */
class Terminal {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown[]>;
  #output = '';

  constructor(...args: string[]) {
    const env = { PATH: process.env.PATH, FORCE_COLOR: '1' };
    this.child = spawn(process.execPath, [COMMAND, ...args], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.ended = once(this.child, 'close');
    this.child.stdout!.on('data', (chunk) => {
      this.#output += chunk;
    });
  }

  type(line: string): void {
    this.#output = '';
    this.child.stdin!.write(`${line}\n`);
  }

  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#output)) await once(this.child.stdout!, 'data');
    return this.#output;
  }

  /** Without colours, and with them. */
  async answer(line?: string): Promise<{ text: string; painted: string }> {
    if (line !== undefined) this.type(line);
    const painted = (await this.until(new RegExp(`${PROMPT}$`))).slice(0, -PROMPT.length);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
    return { text: painted.replace(/\u001b\[\d+m/g, ''), painted };
  }
}

describe('examples/node-chat', () => {
  let bundle: string;
  let server: CloudServer;
  let terminal: Terminal;
  beforeAll(async () => {
    bundle = await talesBundle(['q8']);
  });
  afterEach(async () => {
    terminal.child.kill();
    await terminal.ended;
    await server?.close();
  });

  it('goes on with a story, turn by turn, in every mode', async () => {
    server = await startServer({ model: bundle, port: 0, format: 'q8', logLevel: 'silent' });
    terminal = new Terminal('--model', bundle, '--cloud', server.url);
    expect((await terminal.answer()).text).toMatch(/^tales on onnxruntime-node cpu.*\. decided on the device, /);
    const first = await terminal.answer('Once upon a time there was a little girl named Mia who loved to paint.');
    expect(first.text.trim().length).toBeGreaterThan(20);
    expect(first.painted).toContain(GREEN);
    expect(first.painted).toContain(MAGENTA);
    expect((await terminal.answer('')).text.trim().length).toBeGreaterThan(20);

    expect((await terminal.answer('/offline')).text).toBe('Offline: no connection is open.\n');
    const alone = await terminal.answer('Mia said,');
    expect(alone.text.trim().length).toBeGreaterThan(10);
    expect(alone.painted).not.toContain(MAGENTA);
    expect((await terminal.answer('/offline')).text).toBe('Online again.\n');
    expect((await terminal.answer('/mode cloud-only')).text).toBe('From now on cloud-only.\n');
    const there = await terminal.answer('The next day');
    expect(there.painted).toContain(MAGENTA);
    expect(there.painted).not.toContain(GREEN);

    expect((await terminal.answer('/mode warp')).text).toMatch(/^\/mode exact \| .*; now cloud-only\n$/);
    expect((await terminal.answer('/jump')).text).toMatch(/^There is no \/jump\.\n {2}\/help /);
    expect((await terminal.answer('/new')).text).toBe('A blank page.\n');
    terminal.type('/quit');
    expect(await terminal.ended).toEqual([0, null]);
  });

  it('stops at Ctrl+C, and goes on alone when the server goes away', async () => {
    server = await startServer({ model: bundle, port: 0, format: 'q8', logLevel: 'silent' });
    // Round trips so long that an answer is not over while the signal is on its way.
    const target = { host: '127.0.0.1', port: Number(new URL(server.url).port) };
    const link = await startProxy({ target, profile: presets['3g'] });
    terminal = new Terminal('--model', bundle, '--cloud', `ws://${link.host}:${link.port}`);
    await terminal.answer();
    terminal.type('Once upon a time there was a brave mouse.');
    await terminal.until(/\w/);
    terminal.child.kill('SIGINT');
    expect((await terminal.answer()).text).toMatch(/\nStopped\.\n$/);

    await link.close();
    expect((await terminal.answer('One day')).painted).toContain(YELLOW);
    terminal.child.kill('SIGINT');
    expect(await terminal.ended).toEqual([0, null]);
  });

  it('says what is wrong where there is no model', async () => {
    terminal = new Terminal('--model', 'nowhere');
    expect(await terminal.ended).toEqual([1, null]);
  });
});
