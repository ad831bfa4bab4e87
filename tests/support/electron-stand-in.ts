import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Browser, Page } from 'playwright-core';
import type { ChannelMessage } from './parent-port.js';
import { serveWebApp, type WebApp } from './web-app.js';

const PARENT_PORT = new URL('../dist/support/parent-port.js', import.meta.url).href;

/**
 * Stands in for Electron where its binary cannot be had: the main process is this one, a window is a page of a real
 * Chromium, a utility process a real Node child process. What it cannot show is Electron's own: packaging, `file://`, the sandbox.
 */
export class ElectronStandIn {
  readonly app = new App();
  readonly powerMonitor = new EventEmitter();
  readonly children: ChildProcess[] = [];
  /** Of the window that was opened. */
  readonly page: Promise<Page>;
  readonly MessageChannelMain = MessageChannel;
  readonly BrowserWindow: new (options: {
    webPreferences: { preload: string };
  }) => object;
  readonly utilityProcess = { fork: (script: string, args: string[]) => this.#fork(script, args) };
  #site: WebApp | undefined;
  #lastPort = 0;

  constructor(browser: Browser) {
    let opened: (page: Page) => void;
    this.page = new Promise((resolve) => {
      opened = resolve;
    });
    const load = async (window: Window, path: string) => {
      this.#site = await serveWebApp(dirname(path), '');
      const page = await browser.newPage();
      await window.attach(page);
      await page.goto(this.#site.url);
      opened(page);
    };
    this.BrowserWindow = class extends Window {
      loadFile = (path: string) => load(this, path);
    };
  }

  async close(): Promise<void> {
    this.app.emit('before-quit');
    await Promise.all(this.children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
    await this.#site?.close();
  }

  #fork(script: string, args: string[]) {
    const child = fork(script, args, { serialization: 'advanced', execArgv: ['--import', PARENT_PORT] });
    this.children.push(child);
    const ports = new Map<number, MessagePort>();
    child.on('message', (message: ChannelMessage) => {
      if (message.kind === 'port') ports.get(message.id)?.postMessage(message.data);
    });
    const send = (message: ChannelMessage) => child.connected && child.send(message);
    return {
      once: (event: 'exit', listener: (code: number) => void) => child.once(event, listener),
      kill: () => child.kill(),
      postMessage: (data: unknown, transferred: MessagePort[]) => {
        const portIds = transferred.map((port) => {
          const id = ++this.#lastPort;
          ports.set(id, port);
          port.on('message', (heard) => send({ kind: 'port', id, data: heard }));
          return id;
        });
        send({ kind: 'parent', data, portIds });
      },
    };
  }
}

class App extends EventEmitter {
  readonly whenReady = async () => {};
  readonly quit = () => this.emit('before-quit');
}

/** A window: the preload script in a page, and ports that lead into it. */
class Window {
  readonly webContents = new WebContents();
  readonly #preload: string;

  constructor({ webPreferences }: { webPreferences: { preload: string } }) {
    this.#preload = readFileSync(webPreferences.preload, 'utf8');
  }

  isDestroyed(): boolean {
    return this.webContents.page?.isClosed() ?? false;
  }

  async attach(page: Page): Promise<void> {
    this.webContents.page = page;
    await page.exposeFunction('portSaid', (id: number, data: unknown) =>
      this.webContents.ports.get(id)?.postMessage(data),
    );
    await page.addInitScript(`(() => { ${INSIDE}; ${this.#preload} })();`);
    page.on('load', () => this.webContents.emit('did-finish-load'));
  }
}

class WebContents extends EventEmitter {
  page: Page | undefined;
  readonly ports = new Map<number, MessagePort>();

  postMessage(channel: string, message: unknown, ports: MessagePort[]): void {
    const ids = ports.map((port) => {
      const id = this.ports.size + 1;
      this.ports.set(id, port);
      port.on('message', (data) => void this.#call('hear', id, data));
      return id;
    });
    void this.#call('receive', channel, message, ids);
  }

  /** A page that is gone hears nothing more. */
  async #call(name: string, ...parameters: unknown[]): Promise<void> {
    await this.page
      ?.evaluate(
        ([which, list]) => (globalThis as unknown as PageEnd).standIn[which as string]!(...(list as unknown[])),
        [name, parameters],
      )
      .catch(() => {});
  }
}

interface PageEnd {
  standIn: Record<string, (...parameters: unknown[]) => void>;
}

/** In the page: `require('electron')` for the preload script, and the ends of ports that lead to this process. */
const INSIDE = `
  const listeners = new Map();
  const ends = new Map();
  const require = () => ({ ipcRenderer: { on: (channel, listener) => listeners.set(channel, listener) } });
  globalThis.standIn = {
    receive(channel, message, ids) {
      const ports = ids.map((id) => {
        const { port1, port2 } = new MessageChannel();
        ends.set(id, port1);
        port1.onmessage = ({ data }) => globalThis.portSaid(id, data);
        return port2;
      });
      listeners.get(channel)?.({ ports }, message);
    },
    hear: (id, data) => ends.get(id)?.postMessage(data),
  };
`;

/** A file of the example, as the main process names it. */
export function electronExample(path: string): string {
  return fileURLToPath(new URL(`../../examples/electron-chat/${path}`, import.meta.url));
}
