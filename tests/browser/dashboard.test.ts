import { type CloudServer, startServer } from '@tandem/cloud';
import { EdgeModel } from '@tandem/edge';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accessibilityViolations } from '../support/accessibility.js';
import { CHROMIUM, inChromium, launchChromium } from '../support/chromium.js';
import { askText } from '../support/raw-http.js';
import { OPENINGS, talesBundle } from '../support/tales.js';

const ADMIN = 'canary-admin-token';
const BEARER = { Authorization: `Bearer ${ADMIN}` };

/** The live page against a real server under real sessions: what it shows is what `/metrics` says. */
describe.skipIf(!CHROMIUM)(inChromium('the dashboard in Chromium'), () => {
  let browser: Browser;
  let page: Page;
  let server: CloudServer;
  let model: EdgeModel;
  const complaints: string[] = [];
  const requests: string[] = [];

  beforeAll(async () => {
    const bundle = await talesBundle();
    const options = { model: bundle, format: 'q8', port: 0, threads: 1, engines: 2, contextMib: 64 } as const;
    [browser, server, model] = await Promise.all([
      launchChromium(),
      startServer({ ...options, adminToken: ADMIN, logLevel: 'silent' }),
      EdgeModel.load(bundle, { format: 'q8', threads: 1 }),
    ]);
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      httpCredentials: { username: 'operator', password: ADMIN },
    });
    page = await context.newPage();
    page.on('console', (line) => complaints.push(line.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`${server.url.replace('ws', 'http')}/dashboard`);
  });
  afterAll(async () => {
    await browser?.close();
    await model?.dispose();
    await server?.close();
  });

  const tile = (title: string) => page.locator('.tile', { has: page.locator('dt', { hasText: title }) });
  const reads = (title: string, text: string) => tile(title).getByText(text).waitFor();
  const legend = (chart: string, line: string) =>
    page
      .locator('.chart', { hasText: chart })
      .locator('.u-series', { has: page.getByText(line, { exact: true }) })
      .locator('.u-value')
      .textContent();

  it('is for operators: neither the page nor its figures without the credential', async () => {
    for (const path of ['/dashboard', '/dashboard/main.js', '/dashboard/figures/0', '/dashboard/none']) {
      expect([path, (await askText(server.port, path)).status]).toEqual([path, 401]);
    }
    expect((await askText(server.port, '/dashboard/../package.json', { headers: BEARER })).status).toBe(404);
    const answer = await fetch(`http://127.0.0.1:${server.port}/dashboard`, { headers: BEARER });
    const policy = answer.headers.get('content-security-policy');
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(policy).not.toMatch(/unsafe|\*/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('shows what happens: sessions, tokens by origin, memory, an engine that is killed', async () => {
    await page.locator('#state', { hasText: 'serving' }).waitFor();
    await reads('Engines', '2 of 2');
    const cloud = { url: server.url };
    const session = await model.createSession({ mode: 'exact', onCloudUnavailable: 'wait', cloud });
    const story = await session.generate(OPENINGS[0]!, { temperature: 0.8, seed: 1, maxOutputTokens: 32 });
    await reads('Sessions', '1 sockets');
    // Context of a session that is open and has told a story.
    await tile('Memory')
      .locator('.value', { hasText: /^[1-9].* [KM]iB$/ })
      .waitFor();
    const [id] = server.engineProcessIds;
    process.kill(id!, 'SIGKILL');
    await reads('Engines', '1 restart');
    await session.dispose();
    await reads('Sessions', '0 sockets');
    const figures = await askText(server.port, '/dashboard/figures/0', { headers: BEARER });
    const { columns } = JSON.parse(figures.text) as { columns: Record<string, (number | null)[]> };
    const sum = (name: string) => columns[name]!.reduce<number>((total, value) => total + (value ?? 0), 0);
    const { text } = await askText(server.port, '/metrics', { headers: BEARER });
    const counted = (origin: string) =>
      Number(new RegExp(`^tandem_tokens_total\\{origin="${origin}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    // One point a second: what is per second adds up to what was counted, but for the moment between two points.
    for (const origin of ['confirmed', 'corrected', 'asked']) {
      expect(Math.abs(sum(`${origin}PerS`) - counted(origin)), origin).toBeLessThan(0.1 * story.tokens.length + 1);
    }
    expect(counted('confirmed') + counted('corrected') + counted('asked')).toBeGreaterThanOrEqual(story.tokens.length);
  });

  it('charts tell their newest values, and those under the pointer', async () => {
    expect(await legend('Engines', 'restarts')).toBe('1');
    expect(await legend('Sessions', 'connected')).toBe('0');
    await page.check('[value="60"]');
    await page.locator('.chart', { hasText: 'Sessions' }).locator('.u-over').hover();
    const time = page.locator('.chart', { hasText: 'Sessions' }).locator('.u-value').first();
    expect(await time.textContent()).toMatch(/\d/);
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

  it('asks nobody but its own server, and has nothing in the console', () => {
    expect(complaints).toEqual([]);
    expect(requests.filter((url) => !url.startsWith(server.url.replace('ws', 'http')))).toEqual([]);
  });

  it('says so when the server is gone', async () => {
    await server.close();
    await page.locator('#state', { hasText: 'the server does not answer' }).waitFor();
  });
});
