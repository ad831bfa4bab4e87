import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessibilityViolations } from '../support/accessibility.js';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { startPlayground } from '../support/playground.js';

/** The playground as people use it: one command, one page. */
describe.skipIf(!CHROMIUM)(inChromium('the playground in Chromium'), () => {
  let browser: Browser;
  let playground: Awaited<ReturnType<typeof startPlayground>>;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    [browser, playground] = await Promise.all([launchChromium(), startPlayground()]);
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on('console', (line) => complaints.push(`${line.type()}: ${line.text()}`));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(playground.url);
    await page.waitForSelector('#tell:enabled');
  });
  afterAll(async () => {
    await browser?.close();
    await playground?.close();
  });

  const said = (text: string) => page.locator('#status').getByText(text, { exact: true }).waitFor();
  const told = () => said('Told.');
  const slide = (id: string, value: number) => page.locator(`#${id}`).fill(String(value));
  /** Tokens on the page by where they were decided. */
  const count = (origin: string) => page.locator(`#split .${origin}`).count();
  const story = () => page.locator('#split').textContent();

  it('tells a story by keyboard alone, and the same one with all layers on the server', async () => {
    await page.selectOption('#preset', 'wifi');
    await slide('length', 48);
    await page.locator('#compare').focus();
    await page.keyboard.press('Space');
    await page.locator('#prompt').focus();
    await page.keyboard.press('Control+Enter');
    await told();
    expect(await page.locator('#verdict').textContent()).toMatch(/^(\d+) of \1 tokens are those of cloud-only; /);
    expect(await page.locator('#cloud').textContent()).toBe(await story());
    expect((await count('exit1')) + (await count('exit2'))).toBeGreaterThan(5);
    expect(await count('cloud')).toBeGreaterThan(0);
    expect(await page.locator('#timeline-text').textContent()).toMatch(/drafts on the device; [1-9]\d* forwards/);
    expect(await page.locator('#figures').textContent()).toContain('100 %');
    await page.locator('#split').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#split .pointed').count()).toBe(1);
    expect(await page.locator('#timeline-text').textContent()).toMatch(
      /^This token: (not drafted|drafted at exit \d after \d+ ms); .+ after \d+ ms/,
    );
    const costs = await page.locator('#costs').textContent();
    expect(costs).toMatch(/^exact\d+ mscollaborative\d+ msdevice-only\d+ mscloud-only\d+ ms$/);
  });

  it('a cut connection changes nothing in the text', async () => {
    const before = await story();
    await page.uncheck('#compare');
    await page.click('#tell');
    await page.waitForSelector('#split .exit2');
    await page.click('#cut');
    await told();
    expect(await story()).toBe(before);
  });

  it('goes on alone while the link is offline, and with the cloud as soon as it is back', async () => {
    await slide('length', 256);
    await page.locator('#split').evaluate(whenTokens);
    await page.click('#tell');
    await page.waitForSelector('#split .alone');
    await page.waitForSelector('#split .alone ~ .cloud');
    await page.keyboard.press('Escape');
    // "Told." where the story was over first.
    await page
      .locator('#status')
      .getByText(/^(Stopped|Told)\.$/)
      .waitFor();
    const states = await page.evaluate(() => (globalThis as { states?: string[] }).states);
    expect(states!.slice(-4)).toEqual(['connecting…', 'cloud away', 'connected', 'not connected']);
  });

  it('follows the recording of a real link, and says what is wrong with one', async () => {
    await page.selectOption('#preset', 'a recording…');
    const choose = (text: string) =>
      page.setInputFiles('#trace-file', { name: 'ride.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
    await choose('0 fast\n');
    await page.locator('#trace-file-note').getByText('INVALID_OPTION: trace: ').waitFor();
    await choose('t_s,rtt_ms,down_mbps,up_mbps\n0,20,10,5\n1,60,2,1\n2,30,8,4\n');
    await page.locator('#trace-text').getByText('ride.csv: 3 s, 2,000 to 10,000 kbit/s').waitFor();
    expect(await page.locator('#trace-file-note').textContent()).toBe('');
    await slide('length', 16);
    await page.click('#tell');
    await told();
    expect(await page.locator('#split-note').textContent()).toMatch(/^ride\.csv · [\d.]+ tokens\/s · [\d.]+ s$/);
  });

  it('device-only opens no connection', async () => {
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await slide('length', 32);
    await page.check('[value=device-only]');
    await page.click('#tell');
    await told();
    expect(sockets).toEqual([]);
    expect(await count('cloud')).toBe(0);
  });

  describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
    it.each([
      ['a desktop', 1280],
      ['a phone', 390],
    ])('is accessible and fits on %s', async (_name, width) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 844 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      expect(await accessibilityViolations(page)).toEqual([]);
    });
  });

  it('has nothing in the console', () => {
    expect(complaints).toEqual([]);
  });
});

/**
 * Runs in the page, where a story does not run on while a test on a busy machine gets round to its next step: offline at
 * the first token that the device chose, online at the first that it settled alone. Keeps what the connection said.
 */
function whenTokens(story: Node): void {
  const states: (string | null)[] = [];
  Object.assign(globalThis, { states });
  const offline = document.querySelector<HTMLInputElement>('#offline')!;
  const pill = document.querySelector('#connection')!;
  new MutationObserver(() => states.push(pill.textContent)).observe(pill, { childList: true });
  new MutationObserver((_changes, observer) => {
    const isDue = document.querySelector(offline.checked ? '#split .alone' : '#split .exit2');
    if (!isDue) return;
    if (offline.checked) observer.disconnect();
    offline.click();
  }).observe(story, { childList: true });
}
