import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startServer } from '@tandem/cloud';
import { type LinkProxy, startProxy } from '@tandem/netsim';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { launchChromium } from './chromium.js';
import { talesBundle } from './tales.js';
import { serveWebApp, type WebApp } from './web-app.js';

const VITE = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));

/** An example as its users get it: built by Vite, under a strict policy, with a server, a link to it and a browser. */
export interface BuiltExample {
  app: WebApp;
  browser: Browser;
  /** Between page and server. */
  link: LinkProxy;
  /** A page that has loaded its model; what it says in the console is kept. */
  open(context?: BrowserContext): Promise<ChatScreen>;
  close(): Promise<void>;
}

/** In development React mounts everything twice, so that what is not cleaned up shows. */
export type BuildKind = 'production' | 'development';

/** Returns a folder of its own, with the pages in it. */
export async function buildExample(name: string, kind: BuildKind = 'production'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-example-'));
  const cwd = fileURLToPath(new URL(`../../examples/${name}/`, import.meta.url));
  const env = { PATH: process.env.PATH, NODE_ENV: kind };
  await promisify(execFile)(process.execPath, [VITE, 'build', '--outDir', folder, '--emptyOutDir'], { cwd, env });
  return folder;
}

export async function startExample(name: string, kind: BuildKind = 'production'): Promise<BuiltExample> {
  const folder = await buildExample(name, kind);
  const bundle = await talesBundle(['f16']);
  const app = await serveWebApp(folder, bundle);
  const server = await startServer({ model: bundle, port: 0, format: 'f16', logLevel: 'silent' });
  const target = { host: '127.0.0.1', port: Number(new URL(server.url).port) };
  const link = await startProxy({ target, profile: {} });
  const browser = await launchChromium();
  return {
    app,
    browser,
    link,
    async open(context) {
      const page = await (context ?? (await browser.newContext())).newPage();
      const screen = new ChatScreen(page);
      await page.goto(`${app.url}?cloud=${encodeURIComponent(`ws://${link.host}:${link.port}`)}`);
      await page.waitForSelector('button[type=submit]:enabled');
      return screen;
    },
    async close() {
      await browser.close();
      await link.close();
      await server.close();
      await app.close();
    },
  };
}

/** The page of any chat example, as its reader sees it. */
export class ChatScreen {
  readonly page: Page;
  readonly complaints: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on('console', (line) => {
      if (line.type() === 'error' || line.type() === 'warning') this.complaints.push(line.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  async says(status: string): Promise<void> {
    await this.page.locator('#status').getByText(status, { exact: true }).waitFor();
  }

  async type(text: string): Promise<void> {
    await this.page.fill('#prompt', text);
    await this.page.click('button[type=submit]');
  }

  /** Until the answer to `text` has begun, drafts not counted. Over a slow link it is not over then. */
  async begin(text: string): Promise<void> {
    const before = await this.answers.count();
    await this.type(text);
    await this.settled(before);
  }

  /** The answer to `text`, when it is complete. */
  async answer(text: string): Promise<string> {
    const before = (await this.turns()).length;
    await this.begin(text);
    await this.says('Ready.');
    const turns = await this.turns();
    expect(turns.slice(before).map(({ by }) => by)).toEqual(text ? ['you', 'model'] : ['model']);
    return turns.at(-1)!.text;
  }

  get answers(): Locator {
    return this.page.locator('.turn.model');
  }

  /** Until something of the answer at this place is final. */
  async settled(place: number): Promise<void> {
    const pieces = this.answers.nth(place).locator('.device, .cloud, .alone');
    await pieces.filter({ hasText: /\w/ }).first().waitFor();
  }

  /** What was said and is final: drafts in view are not in it. */
  async turns(): Promise<{ by: string; text: string }[]> {
    const said = await this.page.locator('#turns .turn').evaluateAll((turns) =>
      turns.map((turn) => {
        const final = Array.from(turn.childNodes).filter((part) => (part as Element).className !== 'provisional');
        return { by: turn.className.replace('turn ', ''), text: final.map((part) => part.textContent).join('') };
      }),
    );
    return said.map(({ by, text }) => ({ by, text: text.trim() }));
  }

  /** Pieces on the page that were decided there. */
  count(origin: 'device' | 'cloud' | 'alone'): Promise<number> {
    return this.page.locator(`#turns .${origin}`).count();
  }
}
