import { startServer } from '@tandem/cloud';
import { EdgeModel, type SessionOptions } from '@tandem/edge';
import { presets, simulateLink } from '@tandem/netsim';
import type { Connect } from '@tandem/shared';
import { launchChromium } from '../support/chromium.js';
import { OPENINGS, talesBundle } from '../support/tales.js';

const SECONDS = 95;

/**
 * The live page of a server under a minute and a half of real sessions, in light and dark. Nothing is staged: devices tell
 * stories over a simulated Wi-Fi, an engine is killed on the way.
 */
export async function dashboard(folder: string): Promise<void> {
  const bundle = await talesBundle();
  const server = await startServer({
    model: bundle,
    format: 'q8',
    port: 0,
    threads: 1,
    engines: 2,
    logLevel: 'silent',
  });
  const model = await EdgeModel.load(bundle, { format: 'q8', threads: 1 });
  const endMs = performance.now() + SECONDS * 1_000;

  /** A device: one story after the other, with a pause to read, until the time is over. */
  async function tellStories(index: number): Promise<void> {
    await pause(index * 4_500);
    const mode = index % 4 === 3 ? 'cloud-only' : 'exact';
    for (let story = 0; performance.now() < endMs; story++) {
      const wrapTransport = (connect: Connect) => simulateLink(connect, presets.wifi, { seed: index }).connect;
      const options: SessionOptions = { mode, onCloudUnavailable: 'wait', cloud: { url: server.url, wrapTransport } };
      const session = await model.createSession(options);
      const opening = OPENINGS[(index * 7 + story) % OPENINGS.length]!;
      await session.generate(opening, { temperature: 0.8, seed: story, maxOutputTokens: 64 });
      await pause(1_500 + 500 * index);
      await session.dispose();
    }
  }

  const devices = Array.from({ length: 8 }, (_, index) => tellStories(index));
  const browser = await launchChromium();
  const page = await browser.newPage({ viewport: { width: 1360, height: 1_000 }, deviceScaleFactor: 1.5 });
  await page.goto(`${server.url.replace('ws', 'http')}/dashboard`);
  await page.check('[value="60"]');
  await pause(60_000);
  process.kill(server.engineProcessIds[0]!, 'SIGKILL');
  await pause(25_000);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await pause(1_500);
    await page.screenshot({ path: `${folder}dashboard-${colorScheme}.png`, fullPage: true });
    process.stdout.write(`docs/images/dashboard-${colorScheme}.png\n`);
  }
  await browser.close();
  await Promise.all(devices);
  await model.dispose();
  await server.close();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
