import { once } from 'node:events';
import { join } from 'node:path';
import { type CloudServer, startServer } from '@tandem/cloud';
import { type LinkProxy, presets, startProxy } from '@tandem/netsim';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildExample, ChatScreen } from '../support/built-example.js';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { ElectronStandIn, electronExample } from '../support/electron-stand-in.js';
import { talesBundle } from '../support/tales.js';

const OPENING = 'Once upon a time there was a little girl named Mia who loved to paint.';

/** Main process, utility process, preload script and page of the example; only Electron itself is a stand-in. */
describe.skipIf(!CHROMIUM)(inChromium('examples/electron-chat'), () => {
  let browser: Browser;
  let electron: ElectronStandIn;
  let server: CloudServer;
  let link: LinkProxy;
  let screen: ChatScreen;

  beforeAll(async () => {
    const [page, model] = await Promise.all([buildExample('electron-chat'), talesBundle(['q8'])]);
    server = await startServer({ model, port: 0, format: 'q8', logLevel: 'silent' });
    link = await startProxy({ target: { host: '127.0.0.1', port: Number(new URL(server.url).port) }, profile: {} });
    browser = await launchChromium();
    electron = new ElectronStandIn(browser);
    const { startApp } = await import(electronExample('dist/app.js'));
    startApp(electron, {
      page: join(page, 'index.html'),
      preload: electronExample('preload.cjs'),
      host: electronExample('dist/host.js'),
      model,
      cloud: `ws://${link.host}:${link.port}`,
    });
    screen = new ChatScreen(await electron.page);
    await screen.says('Ready.');
  });
  afterAll(async () => {
    await electron?.close();
    await browser?.close();
    await link?.close();
    await server?.close();
  });

  it('writes a story in the utility process, coloured in the window', async () => {
    expect((await screen.answer(OPENING)).length).toBeGreaterThan(20);
    expect((await screen.count('device')) + (await screen.count('cloud'))).toBeGreaterThan(5);
    expect(await screen.page.locator('#connection').textContent()).toBe('connected');
  });

  it('a native crash ends the utility process alone; the next one goes on with the same story', async () => {
    const before = await screen.turns();
    const [child] = electron.children;
    child!.kill('SIGABRT');
    await once(child!, 'exit');
    await expect.poll(() => electron.children.length).toBe(2);
    const answer = await screen.answer('');
    expect(answer.length).toBeGreaterThan(5);
    expect((await screen.turns()).slice(0, before.length)).toEqual(before);
    expect(screen.complaints).toEqual([]);
  });

  it('a computer that slept makes a new connection, and the answer goes on', async () => {
    link.setProfile(presets['3g']);
    await screen.begin('The next day');
    link.silence();
    electron.powerMonitor.emit('resume');
    // Sooner than silence is noticed (SILENCE_TIMEOUT_MS).
    await screen.page.locator('#status').getByText('Ready.').waitFor({ timeout: 10_000 });
    link.setProfile({});
  });

  it('a page that is loaded anew gets a port of its own', async () => {
    await screen.page.reload();
    await screen.says('Ready.');
    expect((await screen.answer(OPENING)).length).toBeGreaterThan(20);
  });
});
