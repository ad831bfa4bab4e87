import { presets } from '@tandem/netsim';
import { type BrowserContext, devices, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { accessibilityViolations } from '../support/accessibility.js';
import { type BuiltExample, type ChatScreen, startExample } from '../support/built-example.js';
import { CHROMIUM, inChromium } from '../support/chromium.js';

const OPENING = 'Once upon a time there was a little girl named Mia who loved to paint.';
const PHONE = devices['Pixel 7']!;
/** Less than the silence after which a dead connection is noticed without being told (SILENCE_TIMEOUT_MS). */
const SOON = { timeout: 10_000 };

/** The page of the phone example where a phone leads it: no network, the background, the end and a new start. */
describe.skipIf(!CHROMIUM)(inChromium('examples/mobile'), () => {
  let example: BuiltExample;
  let phone: BrowserContext;
  let screen: ChatScreen;
  beforeAll(async () => {
    example = await startExample('mobile');
    phone = await example.browser.newContext(PHONE);
    screen = await example.open(phone);
  });
  afterEach(() => example.link.setProfile({}));
  afterAll(() => example?.close());

  const connection = (text: string) => screen.page.locator('#connection').getByText(text).waitFor();
  /** Chromium leaves sockets that are open alone; a phone without network does not. */
  const setOffline = async (isOffline: boolean) => {
    example.link.setProfile(isOffline ? presets.offline : {});
    if (isOffline) example.link.cut();
    await phone.setOffline(isOffline);
  };

  it('fits on the phone, and writes', async () => {
    expect((await screen.answer(OPENING)).trim().length).toBeGreaterThan(20);
    const width = await screen.page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBeLessThanOrEqual(PHONE.viewport.width);
    expect(await accessibilityViolations(screen.page)).toEqual([]);
  });

  it('goes on without the network, and with the cloud when it is back', async () => {
    await setOffline(true);
    await connection('offline');
    await screen.answer('');
    const alone = await screen.count('alone');
    expect(alone).toBeGreaterThan(0);
    await setOffline(false);
    await connection('connected');
    await screen.answer('');
    expect(await screen.count('alone')).toBe(alone);
  });

  it('frozen in the background, its connection dead without notice, it goes on when it is back', async () => {
    example.link.setProfile(presets['3g']);
    screen.complaints.length = 0;
    await screen.begin('');
    await setHidden(screen.page, true);
    const lifecycle = await phone.newCDPSession(screen.page);
    await lifecycle.send('Page.setWebLifecycleState', { state: 'frozen' });
    example.link.silence();
    await lifecycle.send('Page.setWebLifecycleState', { state: 'active' });
    await setHidden(screen.page, false);
    await screen.page.locator('#status').getByText('Ready.').waitFor(SOON);
    expect(screen.complaints).toEqual([]);
  });

  it('ended in the middle of an answer, it shows what was said and goes on, even without the network', async () => {
    example.link.setProfile(presets['3g']);
    await screen.begin('The next day');
    await setHidden(screen.page, true);
    const before = await screen.turns();
    await screen.page.close();

    await setOffline(true);
    // The app's own files are on the phone, the model's are not fetched.
    await phone.setOffline(false);
    example.app.intercept = (_request, response) => {
      response.destroy();
      return true;
    };
    screen = await example.open(phone);
    await screen.settled(before.filter(({ by }) => by === 'model').length);
    await screen.says('Ready.');
    const turns = await screen.turns();
    expect(turns.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
    const [cut, rest] = turns.slice(before.length - 1);
    // What was settled between the look at it and the end is either more than was seen, or not stored any more.
    expect(before.at(-1)!.text.startsWith(cut!.text) || cut!.text.startsWith(before.at(-1)!.text)).toBe(true);
    expect(rest).toMatchObject({ by: 'model', text: expect.stringMatching(/\w/) });
    expect(await screen.count('alone')).toBeGreaterThan(0);
  });
});

/** What a phone's webview says when another app comes to the front. */
async function setHidden(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}
